"""From operations of AWS's APIs to the actions that IAM must allow."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.permission import Permission, united
from cloudflow_dagster.providers.aws.models import (
    Service,
    load_service,
    metadata_of,
    operations_of,
    snake_case,
)
from cloudflow_dagster.providers.aws.permissions.definition import action_named, iam_service
from cloudflow_dagster.providers.aws.permissions.overrides import (
    ACTIONS,
    FREE,
    FREE_SERVICES,
    GUARDS,
    INSTEAD_WITH,
    KMS_TOO,
    MORE_WITH,
    PASSES_ROLE,
    PREFIXES,
)
from cloudflow_dagster.providers.aws.permissions.reference import reference
from cloudflow_dagster.providers.aws.waits import waits_of

_LEVELS = ("List", "Read", "Tagging", "Write", "Permissions management")
"""IAM's access levels, the gravest last."""
_FEW = 3
"""Fields that are named to people."""
_ANYTHING = frozenset({"arn", "id", "key", "name", "value"})
"""Names of fields that say nothing of what they are about."""
_GUARDS = tuple((re.compile(action), field) for action, field in GUARDS)
_WAIT_FOR = "wait_for"


def access_level(service: str, operation: str) -> str | None:
    """Return IAM's access level of an operation; the gravest one if it needs several actions.

    Reads nothing of the service's model but its beginning: all operations take 3 s together.

    Args:
        service: botocore's name of the service.
        operation: The API's own name of the operation.

    Returns:
        Read, List, Write, Tagging or Permissions management; None if IAM's list does not have it.
    """
    actions = (action_named(name) for name in actions_of(service, operation))
    return max((a.level for a in actions if a), key=_LEVELS.index, default=None)


Sends = Mapping[str, Collection[str]]
"""Fields of the API that a node sends, each with the fields of its config with which it does.

Without any it always does: it marks what it makes with a tag, whatever that is called.
"""


@lru_cache(maxsize=4096)
def actions_of(service: str, operation: str) -> tuple[str, ...]:
    """Return the actions that a call of an operation is itself, without dependent ones.

    Args:
        service: botocore's name of the service.
        operation: The API's own name of the operation.

    Returns:
        None of them if nobody has to allow the call. What IAM's list does not have is called as
        the operation is.
    """
    if f"{service}.{operation}" in FREE or service in FREE_SERVICES:
        return ()
    usual = _usual_actions(service, operation)
    official = _official_actions(service, operation)
    # AWS does not say which of them stand for the call itself.
    for mine in (set(usual), {each for each in official if each.endswith(f":{operation}")}):
        if own := tuple(each for each in official if each in mine):
            return own
    return official or usual


def _official_actions(service: str, operation: str) -> tuple[str, ...]:
    """Return what AWS's Service Reference says, if it was fetched and says it."""
    fetched = reference()
    return fetched.actions(service, snake_case()(operation)) if fetched else ()


def _usual_actions(service: str, operation: str) -> tuple[str, ...]:
    name = f"{service}.{operation}"
    if name in ACTIONS:
        return tuple(ACTIONS[name].split())
    prefix = _prefix(service)
    known = iam_service(prefix)
    action = known.action(operation) if known else None
    if action is not None:
        return (action.name,)
    if prefix == "apigateway":
        return (f"apigateway:{operations_of(service)[operation]['http']['method']}",)
    return (f"{prefix}:{operation}",)


def permissions_of_node(
    service_name: str, operation: str, config: Mapping[str, Json] | None = None
) -> tuple[Permission, ...]:
    """Return what must be allowed for a node that calls an operation, sorted.

    Args:
        service_name: botocore's name of the service.
        operation: The API's own name of the operation.
        config: The node's config, with its expressions as they are written; then only what such a
            node needs. Without it all that some node of the type may need, with when.
    """
    given = None if config is None else _Given(config)
    found = list(_of_operation(load_service(service_name), operation, given))
    for name, wait in waits_of(service_name, operation).items():
        if config is None or _asks_for(config.get(_WAIT_FOR), name):
            note = "to wait" if config is not None else f"with `{_WAIT_FOR}`"
            found += [
                Permission(action, known=action_named(action) is not None, note=note)
                for action in actions_of(service_name, wait.operation)
            ]
    return united(found)


def permissions_of_calls(
    calls: Iterable[str],
    config: Mapping[str, Json] | None = None,
    *,
    sends: Sends | None = None,
) -> tuple[Permission, ...]:
    """Return what must be allowed for a node that may make several calls, sorted.

    Args:
        calls: botocore's name of a service, a dot, and the API's own name of an operation each:
            `ec2.StartInstances`.
        config: The node's config, whose fields are not called as those of the API are. What is
            only needed with a field of the API is left out if no field here is called like it.
        sends: Fields of the API that are sent though no field of the config is called like them.
    """
    names = (call.partition(".") for call in calls)
    given = None if config is None else _Friendly(config, sends or {})
    return united(
        permission
        for service, _, operation in names
        for permission in _of_operation(load_service(service), operation, given)
    )


def _of_operation(service: Service, operation: str, given: _Given | None) -> Iterator[Permission]:
    if service.operation(operation).get("authtype") == "none":
        return
    name = f"{service.name}.{operation}"
    needed = _instead(name, actions_of(service.name, operation), given)
    yield from needed
    for each in needed:
        action = action_named(each.action)
        for dependent in action.dependents if action else ():
            yield from _dependent(dependent, _fields_with(service, operation, dependent), given)
    for action in _more_official(service, operation, needed):
        yield from _dependent(action, _fields_with(service, operation, action), given)
    for field, actions in MORE_WITH.get(name, {}).items():
        for action in actions.split():
            yield from _dependent(action, _Fields((field,)), given)
    if name in KMS_TOO:
        field, actions = KMS_TOO[name]
        for action in actions.split():
            fields = _Fields((field,) if field else ())
            yield from _dependent(action, fields, given, "if the key is one's own")
    if name in PASSES_ROLE:
        yield from _dependent("iam:PassRole", _Fields(tuple(PASSES_ROLE[name].split())), given)


def _more_official(service: Service, operation: str, needed: Iterable[Permission]) -> Iterator[str]:
    """Yield what AWS says an operation may need beside the call, without what is known better."""
    name = f"{service.name}.{operation}"
    known = {each.action for each in needed}
    known |= {other for _, other in INSTEAD_WITH.get(name, {}).values()}
    known |= {each for actions in MORE_WITH.get(name, {}).values() for each in actions.split()}
    if name in KMS_TOO:
        known |= set(KMS_TOO[name][1].split())
    yield from (each for each in _official_actions(service.name, operation) if each not in known)


def _instead(name: str, actions: tuple[str, ...], given: _Given | None) -> list[Permission]:
    """Return what a call needs in its own right, where a field of the config may change that."""
    found = {each: Permission(each, known=action_named(each) is not None) for each in actions}
    for field, (usual, other) in INSTEAD_WITH.get(name, {}).items():
        if given is None or given.may_have(field):
            found[other] = Permission(other, note=f"with `{field}`")
        elif given.has(field):
            found.pop(usual, None)
            found[other] = Permission(other)
    return list(found.values())


def _dependent(
    action: str, fields: _Fields, given: _Given | None, remark: str = ""
) -> Iterator[Permission]:
    """Yield a dependent action, unless the config has none of the fields that it is needed with."""
    if action == "iam:CreateServiceLinkedRole":
        remark = "the first time in an account"
    note = remark
    if given is None:
        note = ", ".join(part for part in (fields.shown, remark) if part)
    elif not fields.are_in(given):
        return
    known = action_named(action) is not None
    yield Permission(action, dependent=True, known=known, note=note)


class _Given:
    """A config whose fields are called as those of the API are."""

    def __init__(self, config: Mapping[str, Json]) -> None:
        self._config = config
        self._names = frozenset(_given_names(config))

    def has(self, name: str) -> bool:
        """Whether there is a field of a name, at any depth, that is neither null nor false."""
        return name in self._names

    def may_have(self, name: str) -> bool:
        """Whether the field of a name, or what holds it, is an expression."""
        return _is_expression(self._config.get(name))

    def holds(self, text: str) -> bool:
        """Whether some value holds a text."""
        return text in json.dumps(self._config)


class _Friendly(_Given):
    """A config with names of its own: `instance_profile` is `IamInstanceProfile`."""

    def __init__(self, config: Mapping[str, Json], sends: Sends) -> None:
        super().__init__(config)
        self._sent = {
            field for field, by in sends.items() if not by or not self._names.isdisjoint(by)
        }
        plain = {name.replace("_", "").lower().removesuffix("s") for name in self._names}
        self._plain = {name for name in plain - _ANYTHING if len(name) >= _FEW}

    def has(self, name: str) -> bool:
        small = name.lower()
        return name in self._sent or any(plain in small or small in plain for plain in self._plain)


def _given_names(value: Json) -> Iterator[str]:
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            inside = cast("Mapping[str, Any]", each)
            yield from (name for name, of in inside.items() if of not in (None, False))
            waiting += inside.values()
        elif isinstance(each, list):
            waiting += cast("list[Any]", each)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Fields of a config with one of which something is needed; if there are none, always.

    Attributes:
        names: Their names, at any depth.
        holders: Fields at the top in which they may be.
        text: Instead of names: what some value holds.
    """

    names: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    text: str | None = None

    @property
    def shown(self) -> str:
        """When it is needed, in words."""
        if self.text is not None:
            return f"with a value `{self.text}…`"
        few = ", ".join(f"`{name}`" for name in self.names[:_FEW])
        more = " …" if len(self.names) > _FEW else ""
        return f"with {few}{more}" if few else ""

    def are_in(self, given: _Given) -> bool:
        """Whether one of them is there, or may be because what holds it is an expression."""
        if any(given.may_have(name) for name in self.holders):
            return True
        if self.text is not None:
            return given.holds(self.text)
        return not self.names or any(given.has(name) for name in self.names)


_IMAGE_BY_PARAMETER = _Fields(holders=("ImageId",), text="resolve:ssm:")


def _fields_with(service: Service, operation: str, dependent: str) -> _Fields:
    """Return the fields of an operation's input with which a dependent action is needed."""
    name = f"{service.name}.{operation}"
    if dependent == "iam:PassRole" and name in PASSES_ROLE:
        return _Fields(tuple(PASSES_ROLE[name].split()))
    if dependent == "ssm:GetParameters":
        return _IMAGE_BY_PARAMETER
    for action, field in _GUARDS:
        if action.fullmatch(dependent):
            return _fields_like(service.name, operation, field)
    return _Fields()


@lru_cache(maxsize=1024)
def _fields_like(service_name: str, operation: str, pattern: str) -> _Fields:
    """Return all fields of an operation's input, at any depth, whose names match a pattern."""
    service = load_service(service_name)
    like = re.compile(pattern, re.IGNORECASE)
    names: set[str] = set()
    holders: list[str] = []
    for top, settings in service.members(operation, "input").items():
        inside = {name for name in _names_in(service, settings["shape"]) if like.search(name)}
        if inside:
            holders.append(top)
        names |= inside | ({top} if like.search(top) else set())
    return _Fields(tuple(sorted(names)), tuple(holders))


def _names_in(service: Service, shape_name: str) -> set[str]:
    """Return the names of all members of a shape, at any depth."""
    names: set[str] = set()
    seen: set[str] = set()
    waiting = [shape_name]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        shape = service.shape(name)
        for member, settings in shape.get("members", {}).items():
            names.add(member)
            waiting.append(settings["shape"])
        waiting += [shape[of]["shape"] for of in ("member", "value") if of in shape]
    return names


def _asks_for(written: Json, waiter: str) -> bool:
    return written == waiter or _is_expression(written)


def _is_expression(written: Json) -> bool:
    return isinstance(written, str) and "{{" in written


@cache
def _prefix(service: str) -> str:
    """Return IAM's prefix of a service."""
    if service in PREFIXES:
        return PREFIXES[service]
    metadata = metadata_of(service)
    candidates = (metadata.get("signingName"), metadata.get("endpointPrefix"), service)
    names = [str(name) for name in candidates if name]
    return next((name for name in names if iam_service(name)), names[0])
