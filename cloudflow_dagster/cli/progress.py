"""Live progress of a run in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cloudflow_dagster.plan import Plan

_MARKS = {
    "success": ("+", "green"),
    "failure": ("x", "red"),
    "skipped": ("-", "bright_black"),
    "not_run": (".", "bright_black"),
    "retry": ("~", "yellow"),
    "waiting": ("…", "yellow"),
}
_NOT_ENDED = {"skipped", "not_run", "waiting"}
_COLORS = {"success": "green", "waiting": "yellow"}


class Progress:
    """Prints a line for each node that ends, and the result at the end.

    Args:
        plan: What is run.
        quiet: Print nothing (the caller prints JSON).
    """

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._quiet = quiet
        self._width = max((len(step.id) for step in plan.steps), default=0)
        # Of a loop's body no node is shown: the loop's line stands for them.
        self._inside = {step.id for step in plan.walk() if step.loops}
        self._shown: set[str] = set()

    def __call__(self, node: str, status: str, seconds: float, detail: str = "") -> None:
        """Show that a node ended, or is tried again."""
        if self._quiet:
            return
        if status != "retry":
            self._shown.add(node)
        mark, color = _MARKS[status]
        ran = status not in _NOT_ENDED
        time = f"{seconds:7.2f} s" if ran else " " * 9
        detail = detail if ran else status.replace("_", " ")
        click.echo(
            f"  {click.style(mark, fg=color)} {node.ljust(self._width)} {time}  {detail}".rstrip()
        )

    def end(self, summary: Mapping[str, Any]) -> None:
        """Show what did not run, the result, and how the run ended."""
        for node, state in summary["nodes"].items():
            if node not in self._shown | self._inside and state["status"] in _NOT_ENDED:
                self(node, state["status"], 0)
        for line in compensation_lines(summary.get("compensation")):
            click.echo(line)
        if summary["result"] is not None:
            click.echo("Result")
            click.echo(json.dumps(summary["result"], indent=2, ensure_ascii=False))
        color = _COLORS.get(summary["status"], "red")
        click.echo(f"Run {summary['run_id']}: {click.style(summary['status'], fg=color)}")


def compensation_lines(compensation: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what was undone of a run, and what was not, with what undoes it by hand.

    Args:
        compensation: As the run's summary has it; None if nothing was to be undone.
    """
    if compensation is None:
        return
    count = compensation["undone"]
    yield f"Undone: {count:,} {'node' if count == 1 else 'nodes'}"
    for each in compensation["not_undone"]:
        items = ", ".join(map(str, each["items"]))
        place = f"{each['node']}[{items}]" if items else each["node"]
        yield f"  {click.style('x', fg='red')} {place}: {each['code']}: {each['message']}"
        if each["config"] is not None:
            config = json.dumps(each["config"], ensure_ascii=False)
            yield f"    undo it with `{each['type']}` {config}"
