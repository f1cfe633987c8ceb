"""What the nodes of a flow need to be allowed, and whose credential needs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cloudflow_dagster.credentials.spec import AwsSecret, AwsSpec, SsmSecret
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.project import Project

_VARIABLE = re.compile(r"\{\{\s*vars\.([A-Za-z_]\w*)\s*\}\}")

Called = Callable[[str], Plan | None]
"""Gives the plan of a flow that another one calls; None if it has none."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one node needs of one credential.

    Attributes:
        credential: The credential's name.
        provider: Its provider.
        node: Which node: its id, after the flow's and a slash.
        permissions: What must be allowed.
        names: What the node's config names, in the provider's own words, its expressions included;
            what the project's variables say is put in.
        region: Where the node works; None if that is known only when it runs.
    """

    credential: str
    provider: str
    node: str
    permissions: tuple[Permission, ...]
    names: Mapping[str, Json]
    region: str | None


@dataclass(slots=True)
class Needs:
    """What flows need.

    Attributes:
        found: What is known.
        unknown: Sentences about what cannot be known before the flow runs.
    """

    found: list[Need] = field(default_factory=list[Need])
    unknown: list[str] = field(default_factory=list[str])


def needs_of(plan: Plan, project: Project, registry: Registry, called: Called | None) -> Needs:
    """Return what a flow needs: its nodes, those in loops and those that undo, and its secrets.

    Args:
        plan: The flow.
        project: Whose credentials and variables it uses.
        registry: The node types.
        called: Gives the flows that it calls, which are added with all that they call. Without it
            the flow stands alone.
    """
    search = _Search(project, registry, called)
    search.add(plan)
    return search.needs


@dataclass(frozen=True, slots=True)
class _Use:
    """A node type that is used with a config, and by whom and where, as written."""

    type: str
    config: Mapping[str, Json]
    credential: str | None
    provider: str
    region: str | None


class _Search:
    def __init__(self, project: Project, registry: Registry, called: Called | None) -> None:
        self.needs = Needs()
        self._project = project
        self._registry = registry
        self._called = called
        self._seen: set[str] = set()
        self._assumed: set[str] = set()

    def add(self, plan: Plan) -> None:
        """Add a flow, and those that it calls, each once."""
        if plan.flow in self._seen:
            return
        self._seen.add(plan.flow)
        for step in plan.work():
            if not step.disabled:
                self._add_step(plan, step)
        if self._called is None:
            return
        for id in (*plan.calls, *([plan.on_failure] if plan.on_failure else [])):
            other = self._called(id)
            if other is None:
                self.needs.unknown.append(f"`{id}`, which `{plan.flow}` calls, cannot be read.")
            else:
                self.add(other)

    def _add_step(self, plan: Plan, step: Step) -> None:
        node = f"{plan.flow}/{step.id}"
        for name in step.secrets:
            self._add_secret(name, node)
        if step.type == "flow.call" and "{{" in str(step.config.get("flow", "")):
            self.needs.unknown.append(f"`{node}` calls a flow that is known only when it runs.")
        if step.provider is None:
            return
        fed = {edge.field: "{{ input }}" for edge in step.inputs if edge.field is not None}
        config = cast("dict[str, Json]", self._with_variables({**step.config, **fed}))
        region = cast("str | None", self._with_variables(step.region))
        self._add(_Use(step.type, config, step.credential, step.provider, region), node)

    def _add_secret(self, name: str, node: str) -> None:
        match self._project.secrets.spec(name):
            case AwsSecret() as spec:
                type, config = "get_secret_value", {"SecretId": spec.aws_secret}
                service = "secretsmanager"
            case SsmSecret() as spec:
                type, service = "get_parameter", "ssm"
                config = {"Name": spec.ssm_parameter, "WithDecryption": True}
            case _:
                return
        id = f"aws.{service}.{type}"
        self._add(_Use(id, config, spec.credential, "aws", spec.region), f"{node} (secret {name})")

    def _add(self, use: _Use, node: str) -> None:
        node_type = self._registry.get(use.type)
        name = use.credential or self._project.credentials.default(use.provider)
        if node_type is None:
            self.needs.unknown.append(f"`{node}` is of a type that is not installed, `{use.type}`.")
        elif name is None or "{{" in name:
            self.needs.unknown.append(
                f"`{node}` has a credential that is not known before it runs."
            )
        else:
            region = use.region or self._region_of(name)
            self.needs.found.append(
                Need(
                    credential=name,
                    provider=use.provider,
                    node=node,
                    permissions=node_type.permissions_for(use.config),
                    names=node_type.names_for(use.config),
                    region=None if region is None or "{{" in region else region,
                )
            )
            self._add_assumption(name)

    def _add_assumption(self, name: str) -> None:
        """Add that the credential by whose login another one's role is assumed may do so."""
        spec = self._project.credentials.spec(name)
        if name in self._assumed or not isinstance(spec, AwsSpec):
            return
        self._assumed.add(name)
        if spec.source is not None and spec.role_arn is not None:
            arn = spec.role_arn if isinstance(spec.role_arn, str) else "{{ the role }}"
            use = _Use("aws.sts.assume_role", {"RoleArn": arn}, spec.source, "aws", None)
            self._add(use, f"credential {name}")

    def _region_of(self, name: str) -> str | None:
        spec = self._project.credentials.spec(name)
        if isinstance(spec, AwsSpec):
            return spec.region or (self._region_of(spec.source) if spec.source else None)
        return None

    def _with_variables(self, value: Json) -> Json:
        """Put the project's variables in where a text names one."""
        match value:
            case str():
                return _VARIABLE.sub(self._variable, value)
            case list():
                return [self._with_variables(each) for each in cast("list[Any]", value)]
            case dict():
                inside = cast("dict[str, Any]", value)
                return {key: self._with_variables(each) for key, each in inside.items()}
            case _:
                return value

    def _variable(self, found: re.Match[str]) -> str:
        value = self._project.variables.get(found[1])
        return value if isinstance(value, str) else found[0]


def by_credential(needs: Needs) -> Iterator[tuple[str, list[Need]]]:
    """Yield what each credential needs, sorted by its name."""
    for name in sorted({need.credential for need in needs.found}):
        yield name, [need for need in needs.found if need.credential == name]
