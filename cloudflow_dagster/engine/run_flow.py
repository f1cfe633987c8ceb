"""Runs a flow for the CLI: a real Dagster run on the project's instance, told while it goes on."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import dagster as dg

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.flow_runs import FlowRun, execute_to_end, run_to_end
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.params import ParamsError, start_of
from cloudflow_dagster.engine.retrying import CannotRetry, new_run
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.engine.storage import StorageError, storage_explained, try_out
from cloudflow_dagster.flow.files import real_path
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Behaviour, Kind
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.runtime.only import check_only
from cloudflow_dagster.runtime.record import Ancestor, Record, RecordKey
from cloudflow_dagster.runtime.records import SqliteRecords
from cloudflow_dagster.runtime.stored import StoredLoop


class CannotStart(Exception):  # noqa: N818 - it says what it means
    """The run cannot start; the message says why and what to do."""


class BrokenOff(Exception):  # noqa: N818 - as above
    """The run could not be gone on with; the message says why and what to do."""


class OnEvent(Protocol):
    """Is told what becomes of the nodes."""

    def __call__(self, node: str, status: str, seconds: float, detail: str = "") -> None:
        """Take note: `success`, `failure`, `skipped`, or `retry`."""
        ...


def run_flow(
    project: Project,
    plan: Plan,
    *,
    params: Mapping[str, Json] | None = None,
    pinned: bool = False,
    only: str | None = None,
    earlier: str | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Json]:
    """Run a flow to its end in this process. Ctrl-C cancels the run.

    Args:
        project: The project; its instance keeps the run.
        plan: The flow's plan.
        params: The flow's params.
        pinned: Whether pins stand for the nodes' work.
        only: Id of the one node to run.
        earlier: With `only`: id of the run that gives what is not pinned.
        on_event: Is told what becomes of the nodes.

    Returns:
        `{run_id, status, result, nodes}`.

    Raises:
        CannotStart: The params do not fit, what the one node needs is missing, or what the project
            leaves behind cannot be written.
        BrokenOff: The disk or the files on it failed while the run went on.
    """
    config: dict[str, Any] = {"params": dict(params or {})}
    if pinned:
        config["pinned"] = True
    begun: list[str] = []
    with _storage(project, begun), open_instance(project) as instance:
        config["params"] = _checked_params(project, plan, config)
        if earlier and instance.get_run_by_id(earlier) is None:
            raise CannotStart(f"There is no run `{earlier}`.")
        if only:
            _check_only(project, plan, only, earlier)
        marks = {tags.ONLY: only} if only else {}
        if earlier:
            marks[tags.FROM_RUN] = earlier
        run = FlowRun(
            plan=plan,
            job=job_for(plan, project),
            config=config,
            tags=marks,
            steps=_keys(plan.step(only)) if only else None,
            listed=real_path(Path(plan.file).parent) == real_path(project.flows),
        )
        return run_to_end(project, instance, _told(project, run, begun, on_event))


def retry_flow(
    project: Project,
    plan: Plan,
    run_id: str,
    *,
    whole: bool = False,
    on_event: OnEvent | None = None,
) -> dict[str, Json]:
    """Do a run again, to its end and in this process. Ctrl-C cancels the run.

    Args:
        project: The project; its instance keeps the runs.
        plan: The flow's plan, as it is now.
        run_id: The run that has ended.
        whole: Whether all of it is done again, or only what had not succeeded.
        on_event: Is told what becomes of the nodes.

    Returns:
        `{run_id, status, result, nodes}` of the new run.

    Raises:
        CannotStart: There is no such run, or it cannot be done again.
        BrokenOff: The disk or the files on it failed while the run went on.
    """
    begun: list[str] = []
    with _storage(project, begun), open_instance(project) as instance:
        ended = instance.get_run_by_id(run_id)
        if ended is None:
            raise CannotStart(f"There is no run `{run_id}`.")
        job = job_for(plan, project)
        config = dict(ended.run_config)
        try:
            if whole and tags.ONLY not in ended.tags:
                _checked_params(project, plan, config)
            run = new_run(instance, job, ended, whole=whole)
        except (CannotRetry, dg.DagsterInvalidConfigError) as error:
            raise CannotStart(_first_line(error)) from None
        new = FlowRun(plan=plan, job=job, config=config)
        return execute_to_end(project, instance, _told(project, new, begun, on_event), run)


def _first_line(error: Exception) -> str:
    """Return what went wrong; of what Dagster says of a config, which may be long, the start."""
    if isinstance(error, dg.DagsterInvalidConfigError):
        return "The params of the run do not fit the flow as it is now: " + " ".join(
            each.message for each in error.errors
        )
    return str(error)


def _told(project: Project, run: FlowRun, begun: list[str], on_event: OnEvent | None) -> FlowRun:
    """Let a run tell that it has begun, and what becomes of its nodes."""
    if on_event is not None:
        progress = _Progress(project, run.plan, on_event)
        run = replace(run, on_start=progress.start, on_event=progress.event)
    on_start = run.on_start

    def start(new: dg.DagsterRun) -> None:
        begun.append(new.run_id)
        on_start(new)

    return replace(run, on_start=start)


@contextmanager
def _storage(project: Project, begun: Sequence[str]) -> Generator[None]:
    """Say what is wrong with the disk, and whether a run was under way."""
    try:
        with storage_explained(project):
            try_out(project)
            yield
    except StorageError as error:
        if not begun:
            raise CannotStart(str(error)) from error
        raise BrokenOff(f"The run {begun[0]} broke off: {error}") from error


def _checked_params(project: Project, plan: Plan, config: Mapping[str, Json]) -> dict[str, Json]:
    """Return the params given, and the required ones that the trigger fills instead of somebody."""
    try:
        start = start_of(plan, config, catalogue(), time="", variables=project.variables)
    except ParamsError as error:
        give = " ".join(f"--param {name}=…" for name in error.missing)
        raise CannotStart(f"{error}\nGive it: `{give}`." if give else str(error)) from None
    required = set(plan.params.get("required", ()))
    filled = {name: value for name, value in start.params.items() if name in required}
    # A run that was launched with no config at all has none.
    return {**filled, **cast("dict[str, Json]", config.get("params") or {})}


def _check_only(project: Project, plan: Plan, only: str, earlier: str | None) -> None:
    lineage = (Ancestor(earlier, frozenset({only})),) if earlier else ()
    try:
        with records_of(project, "not a run", lineage) as records:
            check_only(plan, only, records)
    except NodeError as error:
        raise CannotStart(error.message) from None


def _keys(step: Step) -> list[str]:
    """Return the keys of the steps that a node is executed by."""
    if step.behaviour is Behaviour.LOOP and not step.disabled:
        return [step.id, f"{names.item_op(step.id)}[?]", names.done_op(step.id)]
    return [step.id]


@dataclass
class _Progress:
    """Makes what people want to know of Dagster's events."""

    project: Project
    plan: Plan
    tell: OnEvent
    _started: dict[str, float] = field(default_factory=dict[str, float])
    _failed_loops: set[str] = field(default_factory=set[str])
    _records: SqliteRecords | None = None

    def start(self, run: dg.DagsterRun) -> None:
        self._records = records_of(self.project, run.run_id)

    def event(self, event: dg.DagsterEvent) -> None:
        if event.step_key is None:
            return
        node, part = names.node_of(event.step_key)
        match event.event_type:
            case dg.DagsterEventType.STEP_START:
                self._started.setdefault(node, time.monotonic())
            case dg.DagsterEventType.STEP_UP_FOR_RETRY:
                self._tell(node, "retry")
            case dg.DagsterEventType.STEP_SKIPPED if part == "":
                self.tell(node, "skipped", 0)
            case dg.DagsterEventType.STEP_SUCCESS if self._ends(node, part):
                self._tell(node)
            case dg.DagsterEventType.STEP_FAILURE if node not in self._failed_loops:
                self._failed_loops.add(node)
                self._tell(node, "failure")
            case _:
                pass

    def _ends(self, node: str, part: str) -> bool:
        step = self.plan.step(node)
        loop = step.behaviour is Behaviour.LOOP and not step.disabled
        return part == ("done" if loop else "")

    def _tell(self, node: str, status: str | None = None) -> None:
        seconds = time.monotonic() - self._started.get(node, time.monotonic())
        record = self._records.read(RecordKey(node)) if self._records else None
        shown = status or (record.status if record else "success")
        self.tell(node, shown, seconds, " ".join(self._details(node, record)))

    def _details(self, node: str, record: Record | None) -> Iterator[str]:
        if record is None:
            return
        step = self.plan.step(node)
        if record.error:
            yield f"{record.error['code']}: {record.error['message']}"
            if step.catches:
                yield "(caught)"
        elif step.kind is Kind.CONDITION and record.ports:
            yield f"→ {', '.join(record.ports)}"
        elif isinstance(record.source, StoredLoop):
            count = record.source.count
            yield "1 item" if count == 1 else f"{count:,} items"
