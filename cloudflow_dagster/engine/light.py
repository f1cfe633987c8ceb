"""The short way through a step whose op is one of ours.

Our ops take nothing and give nothing through Dagster (records carry the data), so a step of theirs
needs no type checks, IO managers or assets, on which Dagster spends most of its 8 ms a step. Its
history is the same: the same events with the same contents, in the same order; and whatever an op
raises is handled by Dagster's own code, to which this is a step launcher. Checked on Dagster
1.13.27; a test compares both ways event by event.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import dagster as dg
from dagster._core.errors import DagsterExecutionStepExecutionError
from dagster._core.execution.context.compute import enter_execution_context
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.objects import StepSuccessData, TypeCheckData
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
from dagster._core.execution.plan.utils import op_execution_error_boundary
from dagster._utils import iterate_with_context
from dagster_shared.utils.timing import format_duration

from cloudflow_dagster.engine.ops import FlowOp

_Type = dg.DagsterEventType

Output = dg.Output[None] | dg.DynamicOutput[None]
Compute = Callable[[Any, dict[str, Any]], Iterator[Output]]


def make_light(context: StepExecutionContext) -> None:
    """Let a step go the short way, if its op is one of ours and nothing asks for more."""
    op = context.op_def
    if (
        isinstance(op, FlowOp)
        and context.step_launcher is None
        # Hooks and tests may ask what a step gave.
        and not context.job_def.get_all_hooks_for_handle(context.node_handle)
        and context.output_capture is None
    ):
        vars(context)["_step_launcher"] = _LAUNCHER


class _LightLauncher:
    """A `StepLauncher` of Dagster's, which it asks for a step's events; executes it right here."""

    def launch_step(self, step_context: StepExecutionContext) -> Iterator[dg.DagsterEvent]:
        events = _Events(step_context)
        key = step_context.step.key
        before = step_context.previous_attempt_count
        if before > 0:
            yield dg.DagsterEvent.step_restarted_event(step_context, before)
        else:
            yield events.log(_Type.STEP_START, f'Started execution of step "{key}".')
        started = time.time()
        with enter_execution_context(step_context) as compute_context:
            # Its type allows a decorated function, which ours is not.
            compute = cast("Compute", step_context.op_def.compute_fn)
            outputs = compute(compute_context, {})
            for output in iterate_with_context(lambda: _boundary(step_context), outputs):
                yield events.output(output)
        duration = (time.time() - started) * 1000
        yield events.log(
            _Type.STEP_SUCCESS,
            f'Finished execution of step "{key}" in {format_duration(duration)}.',
            StepSuccessData(duration_ms=duration),
        )


_LAUNCHER = _LightLauncher()


def _boundary(context: StepExecutionContext) -> AbstractContextManager[None]:
    """Return what Dagster surrounds the work of an op with: retry policies, Python's loggers."""
    return op_execution_error_boundary(
        DagsterExecutionStepExecutionError,
        msg_fn=lambda: f"Error occurred while executing {context.describe_op()}:",
        step_context=context,
        step_key=context.step.key,
        op_def_name=context.op_def.name,
        op_name=context.op.name,
    )


class _Events:
    """Makes the events of a step and logs them."""

    def __init__(self, context: StepExecutionContext) -> None:
        self._context = context
        self._quiet = _is_quiet(context.log)

    def log(self, type_: _Type, message: str, data: Any = None) -> dg.DagsterEvent:
        context = self._context
        step = context.step
        if not self._quiet:
            return dg.DagsterEvent.from_step(type_, context, data, message)
        event = dg.DagsterEvent(
            event_type_value=type_.value,
            job_name=context.job_name,
            step_handle=step.handle,
            node_handle=step.node_handle,
            step_kind_value=step.kind.value,
            logging_tags=context.event_tags,
            event_specific_data=data,
            message=message,
            pid=os.getpid(),
        )
        context.instance.handle_new_event(
            dg.EventLogEntry(
                error_info=None,
                level=logging.DEBUG,
                user_message=message,
                run_id=context.run_id,
                timestamp=time.time(),
                step_key=step.key,
                job_name=context.job_name,
                dagster_event=event,
            )
        )
        return event

    def output(self, output: Output) -> dg.DagsterEvent:
        name = output.output_name
        mapping_key = output.mapping_key if isinstance(output, dg.DynamicOutput) else None
        mapped = f' mapping key "{mapping_key}"' if mapping_key else ""
        return self.log(
            _Type.STEP_OUTPUT,
            f'Yielded output "{name}"{mapped} of type "Nothing". (Type check passed).',
            StepOutputData(
                StepOutputHandle(self._context.step.key, name, mapping_key),
                type_check_data=TypeCheckData(success=True, label=name),
                metadata=output.metadata,
            ),
        )


def _is_quiet(log: dg.DagsterLogManager) -> bool:
    """Return whether nobody but the history hears of events, so that they need not be worded.

    A job has loggers, and an instance handlers, that are told as well, each from a level on.
    """
    for handler in log.handlers:
        loggers: list[logging.Logger] = getattr(handler, "_loggers", [])
        handlers: list[logging.Handler] = getattr(handler, "_handlers", [])
        if len(handlers) != 1 or any(each.isEnabledFor(logging.DEBUG) for each in loggers):
            return False
    return True
