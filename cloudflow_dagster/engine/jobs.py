"""From a plan to a Dagster job: a node becomes an op, an edge a dependency.

Data does not travel through Dagster: the run's records hold what every node gave. Dagster's edges
carry order and skipping alone. All edges into a node end at one fan-in input of its op, which
Dagster runs if any of them delivered, skips if none did, and does not run after a failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import (
    DependencyDefinition,
    GraphDefinition,
    MultiDependencyDefinition,
    NodeInvocation,
    OpDefinition,
)

# The one dependency that Dagster's own composition makes but does not export.
from dagster._core.definitions.dependency import DynamicCollectDependencyDefinition

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.config import run_config_schema
from cloudflow_dagster.engine.credentials import resources_of
from cloudflow_dagster.engine.dead_runs import resumed_by_itself
from cloudflow_dagster.engine.executor import thread_executor
from cloudflow_dagster.engine.ops import Part, op_for
from cloudflow_dagster.engine.params import ParamsError, check_given
from cloudflow_dagster.engine.run_resource import run_resource
from cloudflow_dagster.engine.told import Told
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.insight.needs import needs_of
from cloudflow_dagster.insight.permissions import policies_of
from cloudflow_dagster.nodes.spec import Behaviour
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.permissions.policy import document

_TAG_KEY = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_KEY = 63

Dependency = DependencyDefinition | MultiDependencyDefinition | DynamicCollectDependencyDefinition
Dependencies = dict[NodeInvocation, Mapping[str, Any]]


def job_for(plan: Plan, project: Project) -> dg.JobDefinition:
    """Return the job that runs a flow."""
    parts = _Parts(plan)
    for step in plan.steps:
        parts.add(step)
    logins = resources_of(plan, project)
    graph = GraphDefinition(
        name=dagster_job_name(plan.flow),
        description=_description(plan),
        node_defs=list(parts.ops.values()),
        dependencies=parts.dependencies,
    )
    return as_job(
        graph,
        resource_defs={**logins, "cloudflow": run_resource(plan, project, logins)},
        config=_config(plan),
        executor_def=thread_executor,
        tags=_tags(plan),
        metadata=_metadata(plan, project),
    )


def as_job(graph: Any, **more: Any) -> dg.JobDefinition:
    """Make a job of a graph; Dagster's own types for this are partly unknown."""
    return graph.to_job(**more)


def dagster_job_name(flow: str) -> str:
    """Return the name of a flow's job: the flow's id, unless Dagster refuses it."""
    return names.dagster_name(flow)


class _Parts:
    """The ops of a job and what each depends on."""

    def __init__(self, plan: Plan) -> None:
        self.ops: dict[str, OpDefinition] = {}
        self.dependencies: Dependencies = {}
        self._flow = plan.flow
        self._loops = {s.id for s in plan.steps if s.behaviour is Behaviour.LOOP and not s.disabled}

    def add(self, step: Step) -> None:
        """Add a step: one op, or the three of a loop."""
        before = self._before(step)
        if step.id not in self._loops:
            self._invoke(step, Part.WHOLE, step.id, before)
            return
        key, item, done = step.id, names.item_op(step.id), names.done_op(step.id)
        self._invoke(step, Part.OPEN, key, before)
        self._invoke(
            step,
            Part.ITEM,
            item,
            {names.BEFORE: DependencyDefinition(key, names.ITEM)},
            _group_tags(step),
        )
        self._invoke(
            step,
            Part.DONE,
            done,
            {
                names.BEFORE: MultiDependencyDefinition([DependencyDefinition(key, names.OPENED)]),
                names.ITEMS: DynamicCollectDependencyDefinition(item, names.ITEM),
            },
        )

    def _before(self, step: Step) -> dict[str, Dependency]:
        """Return the fan-in of all edges into a step; an edge of each port once."""
        ends = dict.fromkeys((edge.source, edge.source_port) for edge in step.inputs)
        if not ends:
            return {}
        return {
            names.BEFORE: MultiDependencyDefinition(
                [
                    DependencyDefinition(
                        names.done_op(source) if source in self._loops else source,
                        names.dagster_name(port),
                    )
                    for source, port in ends
                ]
            )
        }

    def _invoke(
        self,
        step: Step,
        part: Part,
        alias: str,
        before: Mapping[str, Dependency],
        marks: Mapping[str, str] | None = None,
    ) -> None:
        op = op_for(self._flow, step, part, starts=not before)
        self.ops[op.name] = op
        self.dependencies[NodeInvocation(op.name, alias, tags=dict(marks or {}))] = before


def _group_tags(step: Step) -> dict[str, str]:
    """Tell the executor how the steps of a loop's items hang together.

    A concurrency that is an expression is known when the loop opens: `run_range` keeps to it.
    """
    marks = {tags.GROUP: step.id}
    concurrency = step.config.get("concurrency", 10)
    if isinstance(concurrency, int):
        marks[tags.GROUP_LIMIT] = str(concurrency)
    if step.config.get("on_item_error", "fail") == "fail":
        marks[tags.GROUP_STOPS] = "true"
    return marks


def _config(plan: Plan) -> dg.ConfigMapping:
    """Return what the Launchpad asks for, and what becomes of it."""

    def to_resources(given: Mapping[str, Json]) -> dict[str, Json]:
        # What was given is read from the run itself (`run_resource.py`): here Dagster has already
        # put in the defaults, and has made floats of whole numbers. It is only refused here: then
        # no run comes of it.
        try:
            check_given(plan, given.get("params") or {})
        except ParamsError as error:
            raise Told(str(error)) from None
        return {
            "execution": {"config": {"timeout": plan.timeout}},
            # What steps log is in the history. Dagster would also print it, event by event.
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }

    triggers = tuple(t.id for t in plan.triggers if not t.disabled)
    return dg.ConfigMapping(
        config_fn=to_resources,
        config_schema=run_config_schema(plan.flow, plan.params, triggers),
    )


def _tags(plan: Plan) -> dict[str, str]:
    own = {tags.FLOW: plan.flow, **resumed_by_itself(plan.resumes)}
    if plan.concurrency:
        own[tags.LIMIT] = json.dumps(
            {**plan.concurrency.model_dump(), "defaults": _param_defaults(plan)}, sort_keys=True
        )
    return {**{tag_key(key): value for key, value in plan.tags.items()}, **own}


def tag_key(key: str) -> str:
    """Return a key for a tag that Dagster accepts."""
    prefix, slash, name = key.rpartition("/")
    clean = _TAG_KEY.sub("_", name)[:_LONGEST_KEY] or "_"
    return f"{_TAG_KEY.sub('_', prefix)[:_LONGEST_KEY]}{slash}{clean}" if prefix else clean


def _param_defaults(plan: Plan) -> dict[str, Json]:
    properties: Mapping[str, Any] = plan.params.get("properties", {})
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    }


def _description(plan: Plan) -> str:
    title = f"**{plan.name}**" if plan.name else f"`{plan.flow}`"
    return "\n\n".join(part for part in (title, plan.description, f"`{plan.file}`") if part)


def _metadata(plan: Plan, project: Project) -> dict[str, Any]:
    permissions = sorted({p for step in plan.work() for p in step.permissions})
    metadata: dict[str, Any] = {"flow file": dg.PathMetadataValue(plan.file)}
    if permissions:
        metadata["permissions"] = dg.MetadataValue.md("\n".join(f"- `{p}`" for p in permissions))
    # Of the flow alone: what it calls is in the jobs of those flows.
    needs = needs_of(plan, project, catalogue(), called=None)
    policies = {p.credential: document(p.statements) for p in policies_of(needs, project)}
    if policies:
        metadata["least IAM policy"] = dg.MetadataValue.json(policies)
    if plan.calls:
        metadata["calls"] = ", ".join(plan.calls)
    return metadata
