"""A code location written by hand, for the tests of the run launcher; copied into their folders."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine import stop_event, thread_executor

HERE = Path(__file__).parent
VERSION = "first"
SEEN = []


@dg.op
def says_version(context: dg.OpExecutionContext) -> None:
    context.log.info(f"version {VERSION} in {os.getpid()} after {len(SEEN)} runs")
    SEEN.append(context.run_id)


@dg.job(executor_def=dg.in_process_executor)
def small() -> None:
    says_version()


@dg.job
def in_processes() -> None:
    says_version()


@dg.op
def waits() -> None:
    (HERE / "waiting").write_text(str(os.getpid()))
    while not (HERE / "go_on").exists():
        time.sleep(0.01)


@dg.job(executor_def=dg.in_process_executor)
def long() -> None:
    waits()


@dg.op(config_schema={"how": str})
def dies(context: dg.OpExecutionContext) -> None:
    print("the last words", file=sys.__stderr__, flush=True)
    os.write(2, b"and these\n")
    if context.op_config["how"] == "exit":
        os._exit(7)
    if context.op_config["how"] == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=dg.in_process_executor)
def deadly() -> None:
    dies()


@dg.op
def leaves_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


@dg.job(executor_def=dg.in_process_executor)
def untidy() -> None:
    leaves_a_thread()


MEETING = threading.Barrier(2)


@dg.op
def meets(context: dg.OpExecutionContext) -> int:
    MEETING.wait(timeout=60)
    return os.getpid()


@dg.op
def compares(context: dg.OpExecutionContext, pids: list[int]) -> None:
    context.log.info(f"met in {set(pids)}")


@dg.job(executor_def=thread_executor)
def side_by_side() -> None:
    compares([meets.alias("a")(), meets.alias("b")()])


@dg.op
def breaks() -> int:
    raise ValueError("on purpose")


@dg.job(executor_def=thread_executor)
def breaks_beside() -> None:
    compares([breaks()])
    meets.alias("a")()
    meets.alias("b")()


@dg.op
def waits_until_told(context: dg.OpExecutionContext) -> None:
    (HERE / "waiting").write_text(str(os.getpid()))
    while not stop_event(context.run_id).wait(0.05):
        pass


@dg.job(executor_def=thread_executor)
def long_beside() -> None:
    waits_until_told()


defs = dg.Definitions(
    jobs=[
        small,
        in_processes,
        long,
        deadly,
        untidy,
        side_by_side,
        breaks_beside,
        long_beside,
    ]
)
