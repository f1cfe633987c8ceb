"""What a step's end means for the others: which ports deliver, and how the engine ends the op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Carries
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.large import store
from cloudflow_dagster.runtime.record import Given, Record, RecordKey, Source, to_text
from cloudflow_dagster.runtime.run import Run

_MEGABYTE = 1_000_000
MAYBE_DONE = "MaybeDone"
"""Code of the error of a step whose call may have been carried out; a person has to say."""


class Ending(StrEnum):
    """How the engine ends a step."""

    OK = "ok"
    """It succeeded; its ports say what goes on."""
    SKIPPED = "skipped"
    """Nothing came in; nothing goes on."""
    CAUGHT = "caught"
    """It failed, and goes on at `error`."""
    CONTINUED = "continued"
    """It failed, and goes on as if it had given null (`on_error: continue`)."""
    FAILED = "failed"
    """It failed, and so does the run."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step has ended; its record is written."""

    record: Record
    ending: Ending


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt failed and another one is due; the record of this one is written.

    Attributes:
        delay: Seconds until then.
        record: What the attempt left.
    """

    delay: float
    record: Record


class StepFailed(Exception):  # noqa: N818 - it ends the op; the error is in `done`
    """A part of a loop failed, and nothing catches that: the engine fails the op."""

    def __init__(self, done: Done) -> None:
        error = done.record.error or {}
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.done = done


def given(output: Json, ports: tuple[str, ...], *, attempts: int = 0) -> Record:
    """Return the record of a step that gave this output, which came with the flow or its event.

    Raises:
        NodeError: It is not JSON.
    """
    return Record("success", source=Given(json_text(output)), ports=ports, attempts=attempts)


def worked_out(run: Run, key: RecordKey, output: Json) -> Source:
    """Return what a step's work gave, without secrets; what is large is stored in a file.

    Raises:
        NodeError: It is not JSON, or too large.
    """
    text = run.redactor.json_text(json_text(output))
    most = run.project.settings.largest_output_mb * _MEGABYTE
    if len(text) > most:
        raise NodeError(
            "OutputTooLarge",
            f"The output has {len(text):,} bytes as JSON, and a node may give {most:,.0f}. Ask for "
            "less, or raise `settings.largest_output_mb` in `cloudflow.yaml`.",
            transient=False,
        )
    if len(text) > run.project.settings.inline_output_mb * _MEGABYTE:
        return store(run.files, key, text)
    return Given(text)


def json_text(output: Json) -> str:
    """Return an output as JSON text, in ASCII.

    Raises:
        NodeError: It is not JSON.
    """
    try:
        return to_text(output)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise NodeError(
            "InvalidOutput", f"The output is not JSON: {reason}.", transient=False
        ) from None


def unhandled(step: Step, record: Record) -> bool:
    """Return whether what hangs on a step cannot run any more."""
    match record.status:
        case "failure":
            return asks(record.error) or not (step.catches or step.on_error == "continue")
        case "not_run" | "canceled":
            return True
        case _:
            return False


def asks(error: Mapping[str, Json] | None) -> bool:
    """Return whether an error asks a person, so that nothing in the flow may catch it."""
    return error is not None and error.get("code") == MAYBE_DONE


def is_final(step: Step, record: Record) -> bool:
    """Return whether a step is not done again when its run is gone on with.

    A failure that was handled is not: what hangs on its `error` port has run.
    """
    if record.status == "failure":
        return not unhandled(step, record)
    return record.status == "success"


def delivering(
    run: Run, step: Step, output: Json, *, chosen: str | None, pinned: bool = False
) -> tuple[str, ...]:
    """Return the ports that deliver after a success, of those that an edge leaves from.

    Args:
        run: The run.
        step: The step.
        output: What it gave.
        chosen: The port that a condition chose.
        pinned: The output is a pin and nothing was chosen: all ways are open.
    """
    return tuple(
        port
        for port in step.ports
        if _delivers(run.carries.get((step.id, port)), port, output, chosen, pinned=pinned)
    )


def _delivers(
    carries: Carries | None, port: str, output: Json, chosen: str | None, *, pinned: bool
) -> bool:
    match carries:
        case Carries.OUTPUT:
            return True
        case Carries.FIELD:
            return isinstance(output, dict) and port in cast("dict[str, Json]", output)
        case Carries.BRANCH:
            return pinned or port == chosen
        case _:
            return False


def after_failure(
    run: Run, step: Step, error: Mapping[str, Json] | None = None
) -> tuple[Ending, tuple[str, ...]]:
    """Return how a step that failed ends, and which of its ports deliver."""
    if asks(error):
        return Ending.FAILED, ()
    if step.on_error == "continue":
        ports = [p for p in step.ports if run.carries.get((step.id, p)) is Carries.OUTPUT]
        return Ending.CONTINUED, tuple(ports)
    if step.catches:
        return Ending.CAUGHT, ("error",)
    return Ending.FAILED, ()


def ending_of(step: Step, record: Record) -> Ending:
    """Return how the engine ends a step that has this record."""
    match record.status:
        case "success":
            return Ending.OK
        case "skipped":
            return Ending.SKIPPED
        case _ if unhandled(step, record):
            return Ending.FAILED
        case _:
            return Ending.CONTINUED if step.on_error == "continue" else Ending.CAUGHT
