"""How a run starts: its trigger, the trigger's event, and the flow's params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.flow.patterns import matches
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.plan import Plan, Step

_MOST_ERRORS = 10
_OF_EACH = ("$defs", "definitions", "properties", "patternProperties", "additionalProperties")
"""What a schema says of each param by itself."""


class ParamsError(Exception):
    """The params do not fit the flow's schema; the message names each that does not.

    Attributes:
        missing: Names of those that are required and not there.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
        trigger: Id of the trigger, if the flow has any.
        event: The trigger's event `{type, time, payload}`, or null.
        params: The flow's params, defaults filled in.
    """

    trigger: str | None
    event: Json
    params: dict[str, Json]


def start_of(
    plan: Plan,
    given: Mapping[str, Json],
    registry: Registry,
    *,
    time: str,
    variables: Mapping[str, Json] | None = None,
) -> Start:
    """Work out how a run starts.

    Args:
        plan: What is run.
        given: The run's config as somebody wrote it: `params`, `trigger` and `event`, all optional.
        registry: The node types, for the sample of a trigger that was started by hand.
        time: When, ISO 8601, for an event that is made up here.
        variables: The project's variables.

    Raises:
        ParamsError: The params do not fit.
    """
    trigger = trigger_of(plan, given.get("trigger"))
    params: dict[str, Json] = dict(given.get("params") or {})
    event = given.get("event")
    if event is None and trigger is not None:
        event = {
            "type": trigger.type,
            "time": time,
            "payload": params if trigger.type == "trigger.manual" else _sample(trigger, registry),
        }
    params = {**params_from_event(trigger, event, variables or {}), **params}
    return Start(trigger.id if trigger else None, event, checked_params(plan, params))


def _sample(trigger: Step, registry: Registry) -> Json:
    """Return the payload of a trigger that is started by hand."""
    type_ = registry.get(trigger.type)
    return dict(type_.sample or {}) if type_ else {}


def trigger_of(plan: Plan, named: str | None) -> Step | None:
    """Return the trigger that a run starts at: the one named, or that of a start by hand.

    Raises:
        ParamsError: The flow has no such trigger.
    """
    if named is None:
        return plan.manual_trigger
    for trigger in plan.triggers:
        if trigger.id == named and not trigger.disabled:
            return trigger
    raise ParamsError(f"`{plan.flow}` has no trigger `{named}` that is not disabled.")


def params_from_event(
    trigger: Step | None, event: Json, variables: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the params that a trigger fills by its config's `params`."""
    from cloudflow_dagster.expressions import render  # noqa: PLC0415 - costs 30 ms

    written = trigger.config.get("params") if trigger else None
    if not written:
        return {}
    rendered = render(written, {"trigger": event, "vars": variables})
    return dict(cast("dict[str, Json]", rendered)) if isinstance(rendered, dict) else {}


def checked_params(plan: Plan, params: Mapping[str, Json]) -> dict[str, Json]:
    """Fill in defaults and check params against the flow's schema.

    Raises:
        ParamsError: They do not fit.
    """
    filled = _with_defaults(plan.params, params)
    _check(plan, plan.params, filled)
    return filled


def check_given(plan: Plan, params: Mapping[str, Json]) -> None:
    """Check the params that somebody gave, one by one: others may come from the trigger.

    Raises:
        ParamsError: One does not fit.
    """
    each = {name: plan.params[name] for name in _OF_EACH if name in plan.params}
    if params and each:
        _check(plan, each, params)


def _check(plan: Plan, schema: Mapping[str, Json], params: Mapping[str, Json]) -> None:
    validator = _validator()(schema)
    errors = sorted(
        validator.iter_errors(params),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    if errors:
        lines = [f"- {_place(error.absolute_path)}: {error.message}" for error in errors]
        more = f"\n- … and {len(lines) - _MOST_ERRORS} more" if len(lines) > _MOST_ERRORS else ""
        raise ParamsError(
            f"The params do not fit the flow `{plan.flow}`:\n"
            + "\n".join(lines[:_MOST_ERRORS])
            + more,
            missing=tuple(n for n in _required(schema) if n not in params),
        )


def _required(schema: Mapping[str, Any]) -> list[str]:
    return list(schema.get("required", ()))


@cache
def _validator() -> Any:
    """Return the class that checks params, whose values may come from outside."""
    from jsonschema import (  # noqa: PLC0415 - costs 70 ms
        Draft202012Validator,
        ValidationError,
        validators,
    )

    def pattern(_: Any, form: str, value: Json, __: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and not matches(form, value):
            yield ValidationError(f"{value!r} does not have the form {form!r}")

    return cast("Any", validators).extend(Draft202012Validator, {"pattern": pattern})


def _place(path: Any) -> str:
    text = "params"
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def _with_defaults(schema: Mapping[str, Any], value: Mapping[str, Json]) -> dict[str, Json]:
    filled = dict(value)
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name, sub in properties.items():
        if not isinstance(sub, Mapping):
            continue
        known = cast("Mapping[str, Any]", sub)
        if name not in filled and "default" in known:
            filled[name] = known["default"]
        inner = filled.get(name)
        if isinstance(inner, dict):
            filled[name] = _with_defaults(known, cast("dict[str, Json]", inner))
    return filled
