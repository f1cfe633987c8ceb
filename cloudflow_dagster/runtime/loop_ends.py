"""The beginning and the end of a loop: its items, and what its iterations gave together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Chosen
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.attempt import Attempt, RedactedLog
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Incoming, incoming
from cloudflow_dagster.runtime.outcome import Done, Ending, asks, delivering, ending_of
from cloudflow_dagster.runtime.record import LoopFacts, LoopOutput, Record
from cloudflow_dagster.runtime.work import error_of, failed, skip, without_work


def open_here(frame: Frame, step: Step, log: RedactedLog) -> LoopFacts | Done:
    """Find out a loop's items and store them.

    Returns:
        What is known of the opened loop; or `Done`, if it ends here: it was skipped or pinned, or
        its items cannot be evaluated.
    """
    came_in = incoming(frame, step)
    if came_in is None:
        return skip(frame, step, log)
    done = without_work(frame, step, came_in, log)
    if done is not None:
        return done
    records, key = frame.run.records, frame.key(step.id)
    kept = records.kept_loop(key, frame.run.owner(step))
    if kept is not None:
        log.info(f"Goes on with the {_counted(kept.count)} of the run that is resumed.")
        return kept
    try:
        facts, items = _items(frame, step, came_in, log)
        records.open_loop(key, facts, items)
    except NodeError as error:
        return failed(frame, step, error_of(frame, step, error, 1), log)
    except ValueError as error:
        problem = NodeError("InvalidOutput", f"The items are not JSON: {error}.", transient=False)
        return failed(frame, step, error_of(frame, step, problem, 1), log)
    log.info(f"{_counted(facts.count)}, {facts.concurrency} at a time.")
    return facts


def _counted(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _items(
    frame: Frame, step: Step, came_in: Incoming, log: RedactedLog
) -> tuple[LoopFacts, Iterator[Json]]:
    attempt = Attempt(frame, step, came_in, log)
    config = attempt.config()
    made = attempt.handle(config)
    if isinstance(made, Chosen) or not isinstance(made, list):
        raise NodeError("InvalidOutput", "A loop's items must be a list.", transient=False)
    items = cast("list[Json]", made)
    facts = LoopFacts(
        count=len(items),
        concurrency=config.get("concurrency", 10),
        on_item_error=config.get("on_item_error", "fail"),
    )
    return facts, (frame.run.redactor.value(item) for item in items)


def close_here(frame: Frame, step: Step, log: RedactedLog) -> Done:
    """End a loop whose iterations have ended, and write its record.

    Raises:
        Canceled: The run was told to stop before all of them had.
    """
    run, key = frame.run, frame.key(step.id)
    owner = run.owner(step)
    facts = run.records.loop(key, owner)
    ended = run.records.own(key) or (None if facts else run.records.earlier(key, owner))
    if ended is not None:
        # It ended when it was opened: skipped, pinned, or its items could not be evaluated.
        if frame.items:
            frame.own[step.id] = ended
        return Done(ended, ending_of(step, ended))
    if facts is None:
        raise RuntimeError(f"The loop `{step.id}` was not opened.")
    output = run.records.loop_output(key, owner)
    error = _failure(frame, step, facts, output)
    if error is not None:
        return failed(frame, step, error, log)
    ports = delivering(run, step, None, chosen=None)
    record = run.records.close_loop(key, owner, Record("success", ports=ports, attempts=1))
    if frame.items:
        frame.own[step.id] = record
    log.info(f"Done with {_counted(facts.count)}.")
    return Done(record, Ending.OK)


def _failure(
    frame: Frame, step: Step, facts: LoopFacts, output: LoopOutput
) -> dict[str, Any] | None:
    """Return the loop's error, if it failed: that of the first item that did."""
    any_error = facts.on_item_error == "fail"
    first = next((error for error in output.errors() if any_error or asks(error)), None)
    if first is not None:
        return loop_error(step, first)
    missing = output.missing()
    if not missing:
        return None
    if frame.run.stop.is_set():
        raise Canceled
    problem = NodeError(
        "Incomplete",
        f"{_counted(missing)} of {facts.count:,} did not end. Run again from the point of failure.",
        transient=False,
    )
    return error_of(frame, step, problem, 1)


def loop_error(step: Step, item_error: dict[str, Json]) -> dict[str, Json]:
    """Return the error of a loop that fails because of an item's."""
    return {
        "node": step.id,
        "code": item_error.get("code"),
        "message": f"Item {item_error.get('index')} failed in `{item_error.get('node')}`: "
        f"{item_error.get('message')}",
        "provider_request_id": item_error.get("provider_request_id"),
        "attempts": item_error.get("attempts", 1),
    }
