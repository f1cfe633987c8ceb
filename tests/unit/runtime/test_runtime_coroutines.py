"""Asynchronous handlers share one event loop, and end when their attempt does."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled
from cloudflow_dagster.runtime import attempt
from cloudflow_dagster.runtime.coroutines import complete


def wanted() -> None:
    return None


async def loop_of() -> int:
    return id(asyncio.get_running_loop())


def test_nodes_side_by_side_share_one_loop(stage: Any) -> None:
    met = asyncio.Barrier(2)
    loops: list[int] = []

    async def meet() -> str:
        loops.append(await loop_of())
        await met.wait()
        return threading.current_thread().name

    items: dict[str, Any] = {"items": [1, 2], "concurrency": 2}
    stage.on["a"] = lambda call, config: call.complete(meet())
    played = stage.flow(
        {"id": "each", "type": "logic.loop", "config": items},
        {"id": "a"},
        edges=["each.item -> a"],
    )
    assert played.output("each")["results"] == ["asynchronous handlers"] * 2
    assert len(set(loops)) == 1


def test_it_is_canceled_at_the_deadline_and_may_clean_up(stage: Any) -> None:
    cleaned: list[float] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(time.monotonic())

    stage.on["a"] = lambda call, config: call.complete(endless())
    played = stage.flow({"id": "a", "timeout": 0.2})
    assert played.error("a")["code"] == "Timeout"
    assert cleaned


def test_it_is_canceled_when_the_run_is_told_to_stop(stage: Any) -> None:
    cleaned = threading.Event()

    stop = threading.Event()

    async def endless() -> None:
        stop.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    stage.on["a"] = lambda call, config: call.complete(endless())
    with pytest.raises(Canceled):
        stage.play(stage.plan({"id": "a"}), stop=stop)
    assert cleaned.is_set()


def test_one_that_does_not_end_is_left_behind(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "STOP_GRACE", 0.1)
    end = threading.Event()

    async def stubborn() -> None:
        while not end.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    stage.on["a"] = lambda call, config: call.complete(stubborn())
    try:
        assert stage.flow({"id": "a", "timeout": 0.2}).error("a")["code"] == "Timeout"
    finally:
        end.set()


def test_what_it_raises_is_raised() -> None:
    async def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        complete(fail(), wanted, 1)


def test_a_forked_process_has_a_loop_of_its_own() -> None:
    here = complete(loop_of(), wanted, 1)
    assert complete(loop_of(), wanted, 1) == here
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(complete(asyncio.sleep(0, 7), wanted, 1))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
