"""The resource `cloudflow`: the run as its steps see it, one for each run and process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from cloudflow_dagster.engine import stops, tags
from cloudflow_dagster.engine.beats import beating
from cloudflow_dagster.engine.children import DagsterChildRuns
from cloudflow_dagster.engine.credentials import run_project
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.params import ParamsError, start_of
from cloudflow_dagster.engine.this_process import this_process
from cloudflow_dagster.engine.told import Told
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.runtime.record import Ancestor, RunFacts
from cloudflow_dagster.runtime.records import SqliteRecords
from cloudflow_dagster.runtime.redaction import Redactor
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.waiting import described
from cloudflow_dagster.runtime.waits import Waits

_MOST_DESCRIBED = 5
"""Waits that are named where a run is suspended."""
_LONGEST_TAG = 500


def run_resource(plan: Plan, project: Project, credentials: Iterable[str]) -> dg.ResourceDefinition:
    """Return the resource through which the ops of a flow's job find their run.

    Args:
        plan: What is run.
        project: The project.
        credentials: Keys of the resources with which its steps log in.
    """
    keys = frozenset(credentials)

    def open_run(init: dg.InitResourceContext) -> Iterator[Run]:
        if init.run is None or init.instance is None:
            raise RuntimeError("A flow's steps need a Dagster run.")
        dagster_run = init.run
        lineage = lineage_of(init.instance, dagster_run)
        with (
            records_of(project, dagster_run.run_id, lineage) as records,
            beating(project, dagster_run.run_id),
        ):
            waits = Waits(project.records)
            facts = records.load_run()
            records.goes_on = facts is not None
            records.claim(this_process())
            if facts is None:
                facts = _facts(plan, project, records, init.instance, dagster_run)
                records.save_run(facts, plan)
            clock, parking = stops.clock_of(records.run_id), stops.parking_of(records.run_id)
            clock.worked_before = waits.worked(records.run_id)
            parking.keep = partial(_keep, waits, init.instance, records.run_id)
            redactor = Redactor()
            quiet = project.credentials.listen(redactor.add)
            run = Run(
                plan=plan,
                id=dagster_run.run_id,
                started_at=facts.started_at,
                attempt=facts.attempt,
                params=facts.params,
                trigger_node=facts.trigger_node,
                event=facts.event,
                variables=project.variables,
                project=run_project(project, {key: getattr(init.resources, key) for key in keys}),
                registry=catalogue(),
                records=records,
                secrets=project.secrets.for_run(redactor.add),
                redactor=redactor,
                files=project.state / "files" / dagster_run.run_id,
                children=DagsterChildRuns(project, init.instance, dagster_run),
                pinned=bool(dagster_run.run_config.get("pinned", False)),
                only=dagster_run.tags.get(tags.ONLY),
                stop=stops.stop_event(dagster_run.run_id),
                clock=clock,
                waits=waits,
                parking=parking,
            )
            try:
                run.hide_known_secrets()
                yield run
            finally:
                quiet()

    return dg.ResourceDefinition(
        resource_fn=open_run,
        description="The run: params, event, records.",
        required_resource_keys=set(keys),
    )


def _keep(waits: Waits, instance: dg.DagsterInstance, run_id: str, worked: float) -> str:
    """Keep in mind that a run is suspended; say what it waits for."""
    waits.suspend(run_id, worked)
    said = " ".join(described(wait) for wait in waits.of_run(run_id)[:_MOST_DESCRIBED])
    instance.add_run_tags(run_id, {tags.WAITS: said[:_LONGEST_TAG]})
    return f"The run is suspended. {said}"


def records_of(project: Project, run_id: str, lineage: tuple[Ancestor, ...] = ()) -> SqliteRecords:
    """Return the records of a run."""
    return SqliteRecords(project.records, run_id, lineage=lineage)


def _facts(
    plan: Plan,
    project: Project,
    records: SqliteRecords,
    instance: dg.DagsterInstance,
    dagster_run: dg.DagsterRun,
) -> RunFacts:
    """Work out what is fixed for this run; a re-execution takes it from the run it does again."""
    parent = dagster_run.parent_run_id
    again = records.load_run(parent) if parent else None
    started_at = again.started_at if again else _started_at(instance, dagster_run)
    given = dict(dagster_run.run_config)
    if again and given.get("event") is None and given.get("trigger") in {None, again.trigger_node}:
        given |= {"event": again.event, "trigger": again.trigger_node}
    try:
        start = start_of(plan, given, catalogue(), time=started_at, variables=project.variables)
    except ParamsError as error:
        raise Told(str(error)) from None
    return RunFacts(
        flow=plan.flow,
        started_at=started_at,
        attempt=again.attempt + 1 if again else 1,
        params=start.params,
        trigger_node=start.trigger,
        event=start.event,
    )


def _started_at(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    record = instance.get_run_record_by_id(run.run_id)
    if record is None or record.start_time is None:
        return datetime.now(UTC).isoformat()
    return datetime.fromtimestamp(record.start_time, UTC).isoformat()
