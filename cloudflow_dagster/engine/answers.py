"""What a person says of calls of which nobody knows whether they were carried out."""

from __future__ import annotations

import dagster as dg

from cloudflow_dagster.engine.dead_runs import found_dead
from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_list import flow_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.intents import Answer, Intent
from cloudflow_dagster.runtime.records import SqliteRecords


class CannotAnswer(Exception):  # noqa: N818 - it says what it means
    """There is nothing to answer; the message says why and what to do."""


def answer(
    project: Project,
    run_id: str,
    node: str,
    item: str | None,
    said: Answer,
) -> tuple[Plan, list[str]]:
    """Store an answer; the run is not gone on with yet.

    Args:
        project: The project.
        run_id: The run that stopped and asked, or was killed.
        node: The node.
        item: In loops: the indices, joined by dots; None if only one item is asked about.
        said: Whether the call was carried out, or is to be made again.

    Returns:
        The flow's plan, and what is still to be answered.

    Raises:
        CannotAnswer: There is no such run, or nothing to answer there.
    """
    with open_instance(project) as instance:
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise CannotAnswer(f"There is no run `{run_id}`.")
        found_dead(project, instance, run)
        plan = _plan_of(project, run)
        with records_of(project, run_id, lineage_of(instance, run)) as records:
            calls = unsettled(plan, records)
            chosen = _chosen(calls, node, item)
            records.intents.answer(chosen.key, said)
            asked = [c for c in calls if c.state == "asked" and c.answer is None and c != chosen]
            return plan, [_named(call) for call in asked]


def _plan_of(project: Project, run: dg.DagsterRun) -> Plan:
    try:
        loaded = FlowFolder(project).one(flow_of(run))
    except UnknownFlowError as error:
        raise CannotAnswer(f"The run {run.run_id} cannot go on: {error}") from None
    if loaded.plan is None:
        raise CannotAnswer(
            f"The run {run.run_id} cannot go on: its flow is broken, see `cloudflow check`."
        )
    return loaded.plan


def unsettled(plan: Plan, records: SqliteRecords) -> list[Intent]:
    """Return the calls that a run goes on with, and of which nobody knows what came of them."""
    found: list[Intent] = []
    owners = {step.id: step.loops[0] if step.loops else step.id for step in plan.walk()}
    for root in dict.fromkeys((records.run_id, *(a.run_id for a in records.lineage))):
        for call in records.intents.unsettled(root):
            owner = owners.get(call.key.node)
            if owner is not None and records.token_run(owner) == root:
                found.append(call)
    return found


def _chosen(calls: list[Intent], node: str, item: str | None) -> Intent:
    of_node = [call for call in calls if call.key.node == node]
    if not of_node:
        others = ", ".join(dict.fromkeys(f"`{call.key.node}`" for call in calls))
        hint = f"It asks about {others}." if others else "It asks about nothing."
        raise CannotAnswer(f"The run does not ask about a call of `{node}`. {hint}")
    items = [call for call in of_node if item is None or _item(call) == item]
    if len(items) == 1:
        return items[0]
    listed = ", ".join(_item(call) for call in of_node)
    raise CannotAnswer(f"`{node}` asks about several items: say which, with `--item`: {listed}.")


def _item(call: Intent) -> str:
    return ".".join(map(str, call.key.indices))


def _named(call: Intent) -> str:
    return f"`{call.key.node}`" + (f" --item {_item(call)}" if call.key.indices else "")
