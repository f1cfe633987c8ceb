"""Jobs written by hand, without a flow, for the tests of the executor."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine import stops, tags
from cloudflow_dagster.engine.executor import thread_executor

MEETING = threading.Barrier(3)
RAN: list[str] = []
"""What was executed, for ops that note it."""


def _optional(*names: str) -> dict[str, dg.Out]:
    return {name: dg.Out(dg.Nothing, is_required=False) for name in names}


@dg.op
def meet() -> None:
    MEETING.wait(timeout=20)


@dg.job(executor_def=thread_executor)
def three_at_once() -> None:
    meet.alias("a")()
    meet.alias("b")()
    meet.alias("c")()


@dg.op(out=_optional("yes", "no"))
def choose() -> object:
    yield dg.Output(None, "yes")


@dg.op(ins={"after": dg.In(dg.Nothing)}, out=_optional("out"))
def go_on() -> object:
    yield dg.Output(None, "out")


@dg.op(ins={"after": dg.In(dg.Nothing)}, out=_optional("out"))
def fail() -> object:
    raise dg.Failure("on purpose", allow_retries=False)
    yield


@dg.op(
    ins={"left": dg.In(dg.Nothing), "right": dg.In(dg.Nothing)},
)
def both() -> None: ...


@dg.job(executor_def=thread_executor)
def failure_beside_skip() -> None:
    """Dagster's in-process executor never ends here: the join of what was not run and skipped."""
    yes, no = choose()
    failed = fail(yes)
    abandoned = go_on.alias("abandoned")(failed)
    skipped = go_on.alias("skipped")(no)
    last = both(left=abandoned, right=skipped)
    go_on.alias("after")(last)


@dg.job(executor_def=thread_executor)
def joins() -> None:
    yes, no = choose()
    taken = go_on.alias("taken")(yes)
    not_taken = go_on.alias("not_taken")(no)
    go_on.alias("any_delivers")([taken, not_taken])
    go_on.alias("none_delivers")([not_taken])
    failed = fail(yes)
    go_on.alias("one_failed")([taken, failed])


@dg.op(out={"value": dg.Out(int, is_required=False)}, config_schema={"gives": bool})
def may_give(context: dg.OpExecutionContext) -> object:
    if context.op_config["gives"]:
        yield dg.Output(int(context.op.name[-1]), "value")


@dg.op
def gather(values: list[int]) -> None:
    RAN.append(f"gathered {values}")


@dg.job(executor_def=thread_executor)
def fan_in() -> None:
    gather([may_give.alias(f"give_{n}")() for n in range(3)])


@dg.op(config_schema={"folder": str})
def flaky(context: dg.OpExecutionContext) -> None:
    if context.retry_number < 2:
        raise dg.RetryRequested(max_retries=5, seconds_to_wait=0.3)
    (Path(context.op_config["folder"]) / "flaky").write_text(str(time.monotonic()))


@dg.op(config_schema={"folder": str})
def steady(context: dg.OpExecutionContext) -> None:
    (Path(context.op_config["folder"]) / "steady").write_text(str(time.monotonic()))


@dg.job(executor_def=thread_executor)
def retries() -> None:
    flaky()
    steady()


ATTEMPTS: list[float] = []


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2, delay=0.2, backoff=dg.Backoff.EXPONENTIAL))
def needs_three_attempts() -> str:
    ATTEMPTS.append(time.monotonic())
    if len(ATTEMPTS) < 3:
        raise ValueError("not yet")
    return "at last"


@dg.op
def note(given: str) -> None:
    RAN.append(given)


@dg.job(executor_def=thread_executor)
def backs_off() -> None:
    note(needs_three_attempts())


@dg.op
def always_again() -> None:
    raise dg.RetryRequested(max_retries=2)


@dg.job(executor_def=thread_executor)
def retries_run_out() -> None:
    always_again()


@dg.op
def again_at_once(context: dg.OpExecutionContext) -> None:
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1)
    time.sleep(1)


@dg.job(executor_def=thread_executor)
def retried_at_once() -> None:
    again_at_once()


HEARD: list[str] = []


@dg.failure_hook
def on_failure(context: dg.HookContext) -> None:
    HEARD.append(f"failure of {context.step_key}")


@dg.success_hook
def on_success(context: dg.HookContext) -> None:
    HEARD.append(f"success of {context.step_key}")


@dg.job(executor_def=thread_executor, hooks={on_failure, on_success})
def hooked() -> None:
    yes, no = choose()
    fail(go_on(yes))
    go_on.alias("skipped")(no)


@dg.op(out=dg.DynamicOut(int), config_schema={"count": int})
def numbers(context: dg.OpExecutionContext) -> object:
    for n in range(context.op_config["count"]):
        yield dg.DynamicOutput(n, mapping_key=str(n))


BUSY: list[int] = []
MOST: list[int] = []
_busy_lock = threading.Lock()


@dg.op(tags={tags.GROUP: "numbers", tags.GROUP_LIMIT: "2"})
def work(n: int) -> int:
    with _busy_lock:
        BUSY.append(n)
        MOST.append(len(BUSY))
    time.sleep(0.05)
    with _busy_lock:
        BUSY.remove(n)
    return n * n


@dg.op
def total(context: dg.OpExecutionContext, values: list[int]) -> None:
    context.log.info(f"total {sum(values)}")


@dg.job(executor_def=thread_executor)
def mapped() -> None:
    total(numbers().map(work).collect())


@dg.op
def first() -> int:
    RAN.append("first")
    return 20


@dg.op
def second(n: int) -> int:
    RAN.append(f"second of {n}")
    return n + 1


@dg.op
def third(n: int) -> int:
    RAN.append(f"third of {n}")
    return n * 2


@dg.op
def aside(n: int) -> int:
    RAN.append(f"aside of {n}")
    return -n


@dg.job(executor_def=thread_executor)
def values() -> None:
    n = first()
    third(second(n))
    aside(n)


@dg.op(tags={tags.GROUP: "numbers", tags.GROUP_LIMIT: "1", tags.GROUP_STOPS: "true"})
def work_until_two(n: int) -> int:
    if n == 2:
        raise dg.Failure("two", allow_retries=False)
    return n


@dg.job(executor_def=thread_executor)
def mapped_stops() -> None:
    total(numbers().map(work_until_two).collect())


@dg.op
def counted(context: dg.OpExecutionContext) -> None:
    """Note how many steps of each database, and of all, run at the same time."""
    key = context.op.tags["database"]
    with _busy_lock:
        USED[key] += 1
        for name, now in ((key, USED[key]), ("all", USED.total())):
            MOST_USED[name] = max(MOST_USED[name], now)
    time.sleep(0.3)
    with _busy_lock:
        USED[key] -= 1


USED: Counter[str] = Counter()
MOST_USED: Counter[str] = Counter()


@dg.job(executor_def=thread_executor)
def tagged() -> None:
    for database in ("here", "there"):
        for n in range(3):
            counted.alias(f"{database}_{n}").tag({"database": database})()


STARTED = threading.Event()


@dg.op
def wait_for_stop(context: dg.OpExecutionContext) -> None:
    STARTED.set()
    if not stops.stop_event(context.run_id).wait(30):
        raise dg.Failure("was not stopped")
    raise dg.DagsterExecutionInterruptedError


@dg.op(ins={"after": dg.In(dg.Nothing)})
def never_started() -> None: ...


@dg.job(executor_def=thread_executor)
def long() -> None:
    never_started(wait_for_stop())


@dg.job(executor_def=thread_executor.configured({"timeout": 0.3}, name="brief_threads"))
def too_long() -> None:
    never_started(wait_for_stop())


@dg.op
def deaf() -> None:
    STARTED.set()
    time.sleep(20)


@dg.job(executor_def=thread_executor.configured({"timeout": 0.2, "grace": 0.2}, name="impatient"))
def does_not_listen() -> None:
    deaf()


@dg.op(pool="narrow")
def pooled(context: dg.OpExecutionContext) -> None:
    with _busy_lock:
        BUSY.append(0)
        MOST.append(len(BUSY))
    time.sleep(0.05)
    with _busy_lock:
        BUSY.remove(0)


@dg.job(executor_def=thread_executor)
def pools() -> None:
    pooled.alias("a")()
    pooled.alias("b")()
    pooled.alias("c")()


@dg.job(executor_def=thread_executor)
def nothing() -> None: ...


@dg.resource
def broken_resource(_: dg.InitResourceContext) -> None:
    raise ValueError("no way in")


@dg.op(required_resource_keys={"door"})
def needs_door() -> None: ...


@dg.job(executor_def=thread_executor, resource_defs={"door": broken_resource})
def resource_fails() -> None:
    needs_door()


@dg.resource
def door(_: dg.InitResourceContext) -> object:
    RAN.append("door opened")
    try:
        yield "door"
    finally:
        RAN.append("door closed")


@dg.op(required_resource_keys={"door"}, ins={"after": dg.In(dg.Nothing)})
def go_through(context: dg.OpExecutionContext) -> None:
    RAN.append(f"went through the {context.resources.door}")


@dg.op(required_resource_keys={"door"}, config_schema={"how": str})
def open_door(context: dg.OpExecutionContext) -> None:
    RAN.append("went through the door")
    if context.op_config["how"] == "fails":
        raise ValueError("on purpose")
    if context.op_config["how"] in {"stopped", "late"}:
        STARTED.set()
        stops.stop_event(context.run_id).wait(30)
        raise dg.DagsterExecutionInterruptedError


@dg.job(executor_def=thread_executor, resource_defs={"door": door})
def doors() -> None:
    opened = open_door()
    go_through.alias("a")(opened)
    go_through.alias("b")(opened)


@dg.op(tags={"cloudflow/process": "own"}, required_resource_keys={"here_alone"})
def needs_it_there() -> None: ...


@dg.resource
def here_alone(_: dg.InitResourceContext) -> None:
    if multiprocessing.parent_process() is not None:
        raise ValueError("not in a process of its own")


@dg.job(executor_def=thread_executor, resource_defs={"here_alone": here_alone})
def resource_fails_apart() -> None:
    needs_it_there()


@dg.op(tags={"cloudflow/process": "own"})
def never_loaded() -> None: ...


def loads_here_alone() -> dg.JobDefinition:
    """Return a job; called by Dagster in each process that loads it."""
    if multiprocessing.parent_process() is not None:
        raise ValueError("this job cannot be loaded there")

    @dg.job(executor_def=thread_executor)
    def one_never_loaded() -> None:
        never_loaded()

    return one_never_loaded


LATE = threading.Event()
GO_ON = threading.Event()
GONE_ON = threading.Event()


@dg.failure_hook
def hears_of_it(context: dg.HookContext) -> None:
    HEARD.append(f"{type(context.op_exception).__name__} of {context.step_key}")
    LATE.set()


@dg.op(tags={"cloudflow/timeout": "0.5"})
def dawdles(context: dg.OpExecutionContext) -> None:
    GO_ON.wait(300)
    context.log.info("said too late")
    GONE_ON.set()


@dg.op
def goes_on_beside() -> None:
    """Let the step go on that was given up, and the run end only after it."""
    LATE.wait(300)
    GO_ON.set()
    GONE_ON.wait(300)
    time.sleep(1)


@dg.job(executor_def=thread_executor, hooks={hears_of_it})
def late() -> None:
    never_started(dawdles())
    goes_on_beside()


@dg.op(tags={"cloudflow/timeout": "2"}, retry_policy=dg.RetryPolicy(max_retries=9))
def dawdles_once(context: dg.OpExecutionContext) -> None:
    if context.retry_number == 0:
        GO_ON.wait(300)


@dg.job(executor_def=thread_executor)
def late_once() -> None:
    dawdles_once()


@dg.op(tags={"cloudflow/timeout": "soon"})
def may_take() -> None: ...


@dg.job(executor_def=thread_executor)
def timeout_misspelt() -> None:
    first()
    may_take()


impatient_executor = thread_executor.configured({"grace": 0.5}, name="short_grace")


@dg.op(tags={"cloudflow/process": "own", "cloudflow/timeout": "6"})
def ignores_a_word() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)


@dg.job(executor_def=impatient_executor)
def late_apart() -> None:
    ignores_a_word()


@dg.op(tags={"cloudflow/process": "own"}, config_schema={"folder": str})
def clings(context: dg.OpExecutionContext) -> None:
    (Path(context.op_config["folder"]) / "waits").write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(300)


@dg.job(executor_def=impatient_executor)
def clinging_apart() -> None:
    clings()


@dg.op
def greet(context: dg.OpExecutionContext) -> None:
    context.log.info("hello")


@dg.job
def greeting() -> None:
    greet()


LOGGING = threading.Barrier(2)


@dg.op
def logs_by_name(context: dg.OpExecutionContext) -> None:
    LOGGING.wait(timeout=60)
    dg.get_dagster_logger().info(f"of {context.op.name}")
    LOGGING.wait(timeout=60)


@dg.job(executor_def=thread_executor)
def logging_side_by_side() -> None:
    logs_by_name.alias("a")()
    logs_by_name.alias("b")()


@dg.op(tags={"cloudflow/process": "own"}, config_schema={"folder": str})
def apart(context: dg.OpExecutionContext) -> None:
    with (Path(context.op_config["folder"]) / "pids").open("a") as pids:
        pids.write(f"{os.getpid()}\n")


@dg.op(
    tags={"cloudflow/process": "own"},
    config_schema={"folder": str},
    retry_policy=dg.RetryPolicy(max_retries=1),
)
def dies_once(context: dg.OpExecutionContext) -> None:
    died = Path(context.op_config["folder"]) / "died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=thread_executor)
def one_apart() -> None:
    apart()
    dies_once()


@dg.op(tags={"cloudflow/process": "own"}, config_schema={"folder": str})
def waits_apart(context: dg.OpExecutionContext) -> None:
    (Path(context.op_config["folder"]) / "waits").write_text(str(os.getpid()))
    time.sleep(300)


@dg.job(executor_def=thread_executor)
def stopped_apart() -> None:
    waits_apart()
