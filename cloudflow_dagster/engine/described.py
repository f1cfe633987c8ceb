"""What Dagster's drawing says of the op that runs a loop's items: which nodes are in the body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.plan import Step

_MOST_NAMED = 6
"""Nodes that the first line names; the drawing shows no other."""
_MOST_LISTED = 50
_LONGEST_NOTES = 200


def about_items(loop: Step) -> str:
    """Return what is done for each item of a loop: a line that names the nodes, and their list."""
    named = [f"`{step.id}`" for step in loop.body[:_MOST_NAMED]]
    more = " …" if len(loop.body) > _MOST_NAMED else ""
    first = f"For each item: {', '.join(named)}{more}"
    lines = list(_listed(loop.body, ""))
    left_out = len(lines) - _MOST_LISTED
    if left_out > 0:
        lines[_MOST_LISTED:] = [f"- … and {left_out} more"]
    return "\n".join([first, "", *lines])


def _listed(steps: Sequence[Step], indent: str) -> Iterator[str]:
    """Yield a line for each node, a loop's body indented under it."""
    for step in steps:
        about = ". ".join(_line(text) for text in (step.label, step.notes) if text)
        off = " (disabled)" if step.disabled else ""
        yield f"{indent}- `{step.id}` {step.type}{off}{f': {about}' if about else ''}"
        yield from _listed(step.body, f"{indent}  ")


def _line(text: str) -> str:
    return shortened(" ".join(text.split()), _LONGEST_NOTES).rstrip(".")
