"""Many ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import condition
from cloudflow_dagster.nodes.fields import Condition
from cloudflow_dagster.nodes.spec import Carries, Chosen, Port

CASE_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
_RESERVED: tuple[str, ...] = ("default", "error")


class Case(TypedDict):
    """One way out."""

    name: Annotated[str, Field(pattern=CASE_NAME, description="The port to go on at.")]
    when: Annotated[Condition, Field(description="An expression; it decides as `$boolean` does.")]


def _named(config: Mapping[str, Json]) -> Iterator[tuple[int, str]]:
    """Yield place and name of each case that has a name which can be one."""
    cases = config.get("cases")
    for n, case in enumerate(cast("list[Any]", cases) if isinstance(cases, list) else []):
        name = cast("dict[str, Any]", case).get("name") if isinstance(case, dict) else None
        if isinstance(name, str) and re.fullmatch(CASE_NAME, name):
            yield n, name


def ports_of_cases(config: Mapping[str, Json]) -> tuple[Port, ...]:
    """Return a port for each case."""
    names = dict.fromkeys(name for _, name in _named(config) if name not in _RESERVED)
    return tuple(Port(name, Carries.BRANCH) for name in names)


def check_cases(config: Mapping[str, Json]) -> list[tuple[tuple[str | int, ...], str]]:
    """Find case names that are taken."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    seen: dict[str, str] = dict.fromkeys(_RESERVED, "is the name of a port that every switch has")
    for n, name in _named(config):
        if name in seen:
            found.append((("cases", n, "name"), f"`{name}` {seen[name]}; choose another name."))
        seen.setdefault(name, "is the name of an earlier case")
    return found


@condition(
    "logic.switch",
    label="Switch",
    icon="git-fork",
    ports=("default",),
    ports_of=ports_of_cases,
    check=check_cases,
)
def switch(call: Call, *, cases: list[Case]) -> Chosen:
    """Goes on at the first case that holds, or at `default`.

    Args:
        call: What surrounds the attempt.
        cases: The ways out, in the order in which they are tried. Later conditions are not
            evaluated.
    """
    chosen = next((case["name"] for case in cases if case["when"]()), "default")
    call.log.info(f"Goes on at `{chosen}`.")
    return Chosen(chosen)
