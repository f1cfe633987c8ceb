"""What the ops do: hand the step to the runtime, and tell Dagster what came of it."""

from __future__ import annotations

import json
import threading
import traceback
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.engine import names
from cloudflow_dagster.engine.shown import shown_error, shown_input, shown_output
from cloudflow_dagster.engine.shown_items import shown_items
from cloudflow_dagster.engine.told import NextAttempt, NodeFailed
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import Canceled
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime import loops
from cloudflow_dagster.runtime.outcome import Again, Done, Ending, StepFailed
from cloudflow_dagster.runtime.record import RecordKey
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.step import execute_step

_AS_OFTEN_AS_NEEDED = 1_000_000
"""The runtime decides how often a step is tried; Dagster must not stop it earlier."""

Events = Iterator[dg.Output[None] | dg.DynamicOutput[None]]


@dataclass(frozen=True, slots=True)
class StepLog:
    """The step's log in Dagster's pages, as the runtime knows logs."""

    log: dg.DagsterLogManager

    def debug(self, message: str) -> None:
        """Write what only helps to find an error."""
        self.log.debug(message)

    def info(self, message: str) -> None:
        """Write what was done."""
        self.log.info(message)

    def warning(self, message: str) -> None:
        """Write what went wrong but did not stop the work."""
        self.log.warning(message)


def run_step(context: dg.OpExecutionContext, ports: tuple[str, ...]) -> Events:
    """Run a step that is not a loop.

    Args:
        context: Of the op.
        ports: Those that are outputs of the op.
    """
    run, step = _here(context)
    with _endings(run, context):
        result = execute_step(run, step, context.retry_number + 1, StepLog(context.log))
    if isinstance(result, Again):
        raise NextAttempt(_said(result.record.error), result.delay, _AS_OFTEN_AS_NEEDED) from None
    yield from _deliver(context, run, step, result, ports)


def open_loop(context: dg.OpExecutionContext, ports: tuple[str, ...]) -> Events:
    """Work out the items of a loop; each range of them becomes a step."""
    del ports
    run, step = _here(context)
    with _endings(run, context):
        ranges = loops.open_loop(run, step, StepLog(context.log))
    for each in ranges:
        yield dg.DynamicOutput(None, mapping_key=each.key, output_name=names.ITEM)
    facts = run.records.loop(RecordKey(step.id), step.id)
    metadata = {"items": facts.count, "at a time": facts.concurrency} if facts else {}
    yield dg.Output(None, names.OPENED, metadata={**metadata, **shown_input(run, step)})


def run_items(context: dg.OpExecutionContext, ports: tuple[str, ...]) -> Events:
    """Run a range of a loop's items."""
    del ports
    run, step = _here(context)
    items = loops.ItemRange.of(context.get_mapping_key() or "0")
    with _endings(run, context), _place(run, step):
        log = StepLog(context.log)
        result = loops.run_range(run, step, items, lambda _step, _indices: log)
    metadata: dict[str, Any] = {"items": items.last - items.first + 1}
    metadata |= shown_items(run, step, items, [int(e["index"]) for e in result.errors])
    if result.errors:
        metadata["errors"] = dg.MetadataValue.json(result.errors)
    if result.failed:
        raise NodeFailed(_why(result), metadata)
    yield dg.Output(None, names.ITEM, metadata=metadata)


def _why(result: loops.RangeResult) -> str:
    if not result.errors:
        return "Not done: another item of the loop had failed."
    first = result.errors[0]
    return f"Item {first['index']}: {first['node']}: {first['code']}: {first['message']}"


def close_loop(context: dg.OpExecutionContext, ports: tuple[str, ...]) -> Events:
    """End a loop."""
    run, step = _here(context)
    with _endings(run, context):
        _run_what_is_left(run, step, StepLog(context.log))
        done = loops.close_loop(run, step, StepLog(context.log))
    yield from _deliver(context, run, step, done, ports)


def _run_what_is_left(run: Run, step: Step, log: StepLog) -> None:
    """Run the items that were never started, or failed here in the run that this one goes on with.

    A run that goes on from the point of failure has no steps for the items that were not started
    before: Dagster does not know of them once any item of the loop was.
    """
    facts = loops.left_to_run(run, step)
    if facts is None:
        return
    waiting = iter(loops.ranges_of(facts.count))
    taking = threading.Lock()
    problems: list[BaseException] = []

    def work() -> None:
        try:
            while not problems:
                with taking:
                    items = next(waiting, None)
                if items is None:
                    return
                loops.run_range(run, step, items, lambda _step, _indices: log)
        except BaseException as error:
            problems.append(error)

    threads = [
        threading.Thread(target=work, name=f"rest of {step.id}", daemon=True)
        for _ in range(min(facts.concurrency, facts.count, loops.MOST_RANGES))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


_places: weakref.WeakKeyDictionary[Run, dict[str, threading.Semaphore]] = (
    weakref.WeakKeyDictionary()
)
_places_lock = threading.Lock()


@contextmanager
def _place(run: Run, step: Step) -> Generator[None]:
    """Wait for a place among a loop's items whose number is an expression.

    Where it is written as a number, the executor keeps to it, and no thread has to wait.
    """
    if isinstance(step.config.get("concurrency", 10), int):
        yield
        return
    with _places_lock:
        of_run = _places.setdefault(run, {})
        if step.id not in of_run:
            of_run[step.id] = threading.Semaphore(loops.concurrency_of(run, step))
        places = of_run[step.id]
    while not places.acquire(timeout=0.2):
        if run.stop.is_set():
            raise Canceled
    try:
        yield
    finally:
        places.release()


def _here(context: dg.OpExecutionContext) -> tuple[Run, Step]:
    """Return the run, and which of its steps the op stands for."""
    run = cast("Run", context.resources.cloudflow)
    node, _ = names.node_of(context.op.name)
    return run, run.steps[node]


@contextmanager
def _endings(run: Run, context: dg.OpExecutionContext) -> Generator[None]:
    """Tell Dagster of a step that does not end in the usual way."""
    try:
        yield
    except Canceled:
        raise dg.DagsterExecutionInterruptedError("The run was told to stop.") from None
    except StepFailed as failed:
        error = failed.done.record.error or {}
        raise NodeFailed(str(failed), shown_error(error)) from None
    except Exception as error:
        # An error of ours. What it says could hold a secret, and Dagster would show all of it.
        # So no `exception()`, which would add the traceback as it is.
        context.log.error(run.redactor.text(traceback.format_exc()))  # noqa: TRY400
        raise NodeFailed(run.redactor.text(f"{type(error).__name__}: {error}")) from None


def _deliver(
    context: dg.OpExecutionContext, run: Run, step: Step, done: Done, ports: tuple[str, ...]
) -> Events:
    record = done.record
    if done.ending is Ending.SKIPPED:
        return
    metadata = {**shown_input(run, step), **shown_output(record)}
    if record.error:
        metadata |= shown_error(record.error)
    if done.ending is Ending.FAILED:
        raise NodeFailed(_said(record.error), metadata)
    if record.error:
        goes_on = "at `error`" if done.ending is Ending.CAUGHT else "with null"
        metadata["failure caught"] = dg.MetadataValue.md(f"**Failed**; the flow goes on {goes_on}.")
    delivering = [port for port in ports if port in record.ports]
    if not step.ports or (not delivering and set(step.ports) == {"item"}):
        delivering = [ports[0]]
    for port in delivering:
        yield dg.Output(None, names.dagster_name(port), metadata=metadata)
        metadata = {}
    if not delivering:
        ways = ", ".join(f"`{port}`" for port in step.ports)
        # Dagster has no event but an output that could carry it as metadata.
        context.log.info(
            f"Nothing goes on from here: the edges that leave this node do so at {ways}.\n"
            f"{_as_text(metadata)}"
        )


def _as_text(metadata: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}: {json.dumps(value.data, ensure_ascii=False)}"
        if isinstance(value, dg.JsonMetadataValue)
        else f"{name}: {getattr(value, 'value', value)}"
        for name, value in metadata.items()
    )


def _said(error: Mapping[str, Json] | None) -> str:
    found = error or {}
    return f"{found.get('code')}: {found.get('message')}"
