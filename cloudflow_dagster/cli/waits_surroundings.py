"""What the commands share that answer waits: which wait is meant, and what becomes of its run."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import click

from cloudflow_dagster.cli.surroundings import COULD_NOT_WORK, give_up, open_project
from cloudflow_dagster.diagnostics import did_you_mean
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.waits import Way
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.database import RecordsError
from cloudflow_dagster.runtime.waits import Wait, Waits

SHORT_ID = 8
_COMMANDS: dict[Way, str] = {"approval": "approve", "resume": "resume"}


def waits_of(project: Project) -> Waits | None:
    """Return a project's waits; None if nothing has run there."""
    path = project.records
    if not path.exists():
        return None
    try:
        return Waits(path)
    except RecordsError as error:
        give_up(str(error))


def way_out(project: Project, wait: Wait) -> str:
    """Say in a sentence who or what ends a wait: the command, or what was answered."""
    if wait.answer is None:
        command = _COMMANDS.get(wait.way)
        items = "".join(f" --item {item}" for item in wait.items)
        run = wait.run[:SHORT_ID]
        return f"`cloudflow {command} {run} {wait.key.node}{items}` answers it." if command else ""
    answer = json.loads(wait.answer)
    said = "Answered"
    if wait.way == "approval":
        said = "Approved" if answer.get("approved") else "Rejected"
    return f"{said} by {wait.answered_by}. {_what_comes(project)}"


@dataclass(frozen=True, kw_only=True)
class Meant:
    """Which wait is meant.

    Attributes:
        run: The run's id, or how it begins.
        node: Id of the node; None if the run waits for one answer of this kind only.
        items: Indices of the items of the loops around the node; none: the only one that waits.
        way: What is answered.
    """

    run: str
    node: str | None
    items: tuple[int, ...]
    way: Way


def give_answer(meant: Meant, answer: Json, by: str) -> None:
    """Answer a wait and say what comes of it; end with status 2 if there is no such wait.

    Args:
        meant: Which wait.
        answer: The answer.
        by: Who answers.
    """
    project = open_project(COULD_NOT_WORK)
    waits = waits_of(project)
    found = [] if waits is None else [w for w in waits.all_open() if w.run.startswith(meant.run)]
    if waits is None or not found:
        give_up(f"no run `{meant.run}` waits. `cloudflow waits` lists those that do.")
    if len({wait.run for wait in found}) > 1:
        give_up(f"`{meant.run}` is the beginning of several runs' ids: write more of it.")
    wait = _chosen(found, meant)
    if wait.approvers and by not in wait.approvers:
        give_up(
            f"`{wait.key.node}` asks for the approval of {' or '.join(wait.approvers)}, and you "
            f"are `{by}`. Say with --by who answers."
        )
    if not waits.answer(wait, answer, by):
        give_up("somebody else was faster: it is answered already.")
    click.echo(f"Answered. {_what_comes(project)}")


def _chosen(found: Sequence[Wait], meant: Meant) -> Wait:
    run, node = found[0].run, meant.node
    there = [wait for wait in found if node is None or wait.key.node == node]
    if not there:
        nodes = sorted({wait.key.node for wait in found})
        hint = did_you_mean(node or "", nodes) or f"It waits at: {', '.join(nodes)}."
        give_up(f"the run {run} does not wait at `{node}`. {hint}")
    fitting = [wait for wait in there if wait.way == meant.way]
    if not fitting:
        other = next((_COMMANDS[w.way] for w in there if w.way in _COMMANDS), None)
        more = f" Use `cloudflow {other}`." if other else " Nobody has to answer that."
        give_up(f"the run {run} does not wait for that.{more}")
    open_ = [wait for wait in fitting if wait.answer is None and meant.items in {(), wait.items}]
    if not open_:
        give_up(f"the run {run} waits there for nothing that is not answered already.")
    if len(open_) > 1:
        places = ", ".join(
            wait.key.node + (f" --item {' --item '.join(map(str, wait.items))}" * bool(wait.items))
            for wait in open_[:10]
        )
        give_up(f"the run {run} waits at several places; say which: {places}.")
    return open_[0]


def _what_comes(project: Project) -> str:
    if deployment_runs(project):
        return "The run goes on."
    return "The run goes on once `cloudflow dev` runs for this project."


def deployment_runs(project: Project) -> bool:
    """Return whether `cloudflow dev` runs for a project."""
    lock = project.state / "dev.lock"
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def this_user() -> str:
    """Return who is logged in on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
