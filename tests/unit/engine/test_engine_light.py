"""The short way through a step leaves the same history as Dagster's own."""

from __future__ import annotations

import json
import re
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from cloudflow_dagster.engine import executor, stops
from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.jobs import job_for
from tests.unit.engine.conftest import Flows, breaks, value

RETRY = {
    "max_attempts": 2,
    "delay": 0.05,
    "backoff": "constant",
    "jitter": "none",
    "on": ["ExpressionError"],
}


def history(flows: Flows, instance: dg.DagsterInstance, id: str) -> list[tuple[str, Any]]:
    """Run a flow; return its events without what is another one in each run."""
    job = job_for(flows.plan(id), flows.project)
    run = create_run(instance, job, NewRun(config={}))
    for _ in execute(instance, job, run):
        pass
    found: list[tuple[str, Any]] = []
    for entry in instance.all_logs(run.run_id):
        if entry.is_dagster_event and not entry.get_dagster_event().is_step_event:
            continue
        text = serialize_value(entry).replace(run.run_id, "RUN")
        text = re.sub(r'"(timestamp|duration_ms)": [0-9.]+', r'"\1": 0', text)
        text = re.sub(r"in [0-9.]+ ?(ms|s|min|seconds)", "in TIME", text)
        text = re.sub(r"[0-9-]{10}T[0-9:.]{8,}", "TIME", text)
        found.append((entry.step_key or "", json.loads(text)))
    stops.forget(run.run_id)
    # Steps side by side come in any order; each one's own events do not.
    return sorted(found, key=lambda each: each[0])


def without_stack(event: Any) -> Any:
    """Return an event without the lines of code that an exception came through."""
    if isinstance(event, dict):
        return {k: without_stack(v) for k, v in event.items() if k != "stack"}
    if isinstance(event, list):
        return [without_stack(v) for v in event]
    return event


@pytest.fixture
def written(flows: Flows) -> Flows:
    manual = {"id": "start", "type": "trigger.manual"}
    flows.write(
        "chain",
        [
            manual,
            value("a", {"deep": [1, "\u00fc"]}),
            value("b", "{{ nodes.a }}", label="B", notes="of a"),
            {"id": "if", "type": "logic.if", "config": {"condition": "{{ nodes.b.deep[0] = 2 }}"}},
            value("no", 1),
            value("yes", 2),
            value("both", 3),
        ],
        [
            "start > a",
            "a > b",
            "b > if",
            "if.true > yes",
            "if.false > no",
            "yes > both",
            "no > both",
        ],
    )
    flows.write(
        "fails",
        [
            manual,
            breaks("again", retry=RETRY),
            value("never", 1),
            breaks("caught", on_error="continue"),
        ],
        ["start > again", "again > never", "start > caught"],
    )
    flows.write(
        "loop",
        [
            manual,
            {"id": "each", "type": "logic.loop", "config": {"items": "{{ [1, 2, 3, 4] }}"}},
            value("square", "{{ item * item }}"),
            value("total", "{{ nodes.each }}"),
        ],
        ["start > each", "each.item > square", "each.done > total"],
    )
    return flows


@pytest.mark.parametrize("id", ["chain", "fails", "loop"])
def test_both_ways_leave_the_same_history(
    written: Flows, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, id: str
) -> None:
    short = history(written, instance, id)
    monkeypatch.setattr(executor, "make_light", lambda context: None)
    whole = history(written, instance, id)

    assert [key for key, _ in short] == [key for key, _ in whole]
    for (_, mine), (_, dagsters) in zip(short, whole, strict=True):
        assert json.dumps(without_stack(mine)) == json.dumps(without_stack(dagsters))
