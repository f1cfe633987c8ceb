"""Many lines with kills beside one without: the cloud must hold the same of each."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cloudflow_dagster.engine.folder import FlowFolder
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.project import find_project
from tests.chaos import desk, project
from tests.chaos.deployment import Deployment
from tests.chaos.kills import Kill, drawn
from tests.chaos.line import Line, StuckError
from tests.chaos.moments import Moments
from tests.chaos.truth import Truth, differences
from tests.fixtures.simulated_cloud import simulated_cloud

_MOST_KILLS = 12
"""Kills of one line."""


@dataclass
class Report:
    """What came of it.

    Attributes:
        kills: How many there were.
        lines: How many lines ended.
        wrong: What was wrong.
        expected: What one undisturbed run makes, and gives.
    """

    kills: int = 0
    lines: int = 0
    wrong: list[str] = field(default_factory=list[str])
    expected: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        done = f"{self.kills} kills in {self.lines} lines of runs"
        if not self.wrong:
            return f"{done}: the cloud holds what undisturbed runs make."
        return f"{done}, WRONG {len(self.wrong)}:\n" + "\n".join(self.wrong) + "\n"


def trial(
    root: Path, *, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Run lines until there were so many kills.

    Args:
        root: An empty folder.
        kills: How many.
        seed: What chance is made of.
        say: Is told each kill.
    """
    chance, report, moments, api = random.Random(seed), Report(), Moments(), desk.Desk()
    with simulated_cloud(empty=True) as cloud, desk.serving(cloud, moments, api) as way:
        project.write(root, way)
        # Its node type is known here too, as to all processes of the project.
        sys.path.insert(0, str(root / "packages"))
        there = find_project(root)
        with open_instance(there) as instance:
            deployment = Deployment(there, way)
            plan, child = (FlowFolder(there).one(id).plan for id in (project.FLOW, project.CHILD))
            assert plan is not None
            assert child is not None

            def line(name: str) -> Line:
                truth = Truth(cloud, api)
                return Line(name, deployment, instance, plan, child, moments, truth, chance, say)

            try:
                deployment.up()
                seconds = _undisturbed(line("undisturbed"), report)
                say(f"Undisturbed: {seconds:.1f} s, {len(moments.calls)} calls, {report.expected}")
                while report.kills < kills:
                    most = min(kills - report.kills, chance.randint(1, _MOST_KILLS))
                    several = islice(_kills(chance, seconds), most)
                    _disturbed(line(f"line-{report.lines}"), several, report, say)
            finally:
                deployment.kill_everything()
    return report


def _kills(chance: random.Random, seconds: float) -> Iterator[Kill]:
    while True:
        yield drawn(chance, seconds)


def _undisturbed(line: Line, report: Report) -> float:
    result = line.run(iter(()))
    assert not line.failures, line.failures
    report.expected = {**line.truth.of(line.name), "result": result}
    return line.worked


def _disturbed(
    line: Line, kills: Iterator[Kill], report: Report, say: Callable[[str], None]
) -> None:
    number = report.kills

    def tell(text: str) -> None:
        nonlocal number
        number += not text.startswith(" ")
        say(text if text.startswith(" ") else f"{number:4} {line.name}: {text}")

    line.say = tell
    try:
        result = line.run(kills)
    except StuckError as stuck:
        wrong = [f"STUCK {stuck}"]
    else:
        wrong = differences(report.expected, {**line.truth.of(line.name), "result": result})
    report.lines += 1
    report.kills += line.killed
    found = [f"{line.name} (first run {line.root}): {each}" for each in (*wrong, *line.failures)]
    for each in found:
        say(f"     WRONG {each}")
    report.wrong += found
