"""Keeps what the process of a run prints, as Dagster's executors do. Checked on Dagster 1.13.27."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import Self

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context.system import PlanExecutionContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._utils.error import serializable_error_info_from_exc_info


class CapturedOutput:
    """Captures what the process prints, as Dagster's in-process executor does.

    Only in the main thread: file descriptors belong to the process, and a child run in another
    thread must not take them from its parent.
    """

    def __init__(self, context: PlanExecutionContext, plan: ExecutionPlan) -> None:
        self._context = context
        self._keys = [step.key for step in plan.get_steps_to_execute_in_topo_order()]
        self._stack = ExitStack()
        self.events: list[dg.DagsterEvent] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        manager = self._context.instance.compute_log_manager
        file_key = create_compute_log_file_key()
        log_key = manager.build_log_key_for_run(self._context.run_id, file_key)
        try:
            log = self._stack.enter_context(manager.capture_logs(log_key))
            event = dg.DagsterEvent.capture_logs(self._context, self._keys, log_key, log)
        except Exception:
            # A run does not fail because what it prints is not kept.
            event = dg.DagsterEvent.engine_event(
                self._context,
                "Exception while setting up the capture of printed output",
                EngineEventData(error=serializable_error_info_from_exc_info(sys.exc_info())),
            )
        self.events.append(event)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
