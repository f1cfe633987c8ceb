"""The flow format, "Nodes": names, config, accounts and `retry`, on running flows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
    chain,
    code,
    flow,
    get,
    result,
    value,
)
from tests.fixtures.web import Answer, Unsteady, Web, serving

pytestmark = pytest.mark.integration


# id, type, what is for people


def test_an_id_is_unique_in_the_flow(programs: Programs) -> None:
    assert programs.codes(flow([MANUAL, value("a"), value("a")])) == ["CF1007"]


def test_outside_loops_the_id_is_the_dagster_step_key(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("first_node"), result("x")))

    assert ended.ran == {"start", "first_node", "end"}


def test_the_type_is_one_of_the_catalogue(programs: Programs) -> None:
    (found,) = programs.check(flow([{"id": "a", "type": "aws.ec2.creat_snapshot"}])).diagnostics

    assert found.code == "CF1011"
    assert "aws.ec2.create_snapshot" in (found.suggestion or "")


def test_label_notes_position_and_parent_change_nothing(programs: Programs) -> None:
    shown = {
        "label": "The value",
        "notes": "{{ not an expression",
        "position": {"x": 1.5, "y": -20},
        "parent": "box",
    }
    nodes = [MANUAL, value("box", 0), value("a", 1, **shown), result("{{ input }}")]
    ended = programs.run(flow(nodes, ["start > a", "a > end"]))

    assert ended.result == 1
    assert programs.codes(flow([value("a", 1, parent="no_such")])) == ["CF2012"]


def test_any_string_in_config_may_hold_expressions(programs: Programs) -> None:
    made = {"list": ["{{ 1 + 1 }}", {"deep": "{{ 'x' }}y"}], "plain": "no"}
    ended = programs.run(chain(MANUAL, result(made)))

    assert ended.result == {"list": [2, {"deep": "xy"}], "plain": "no"}


# credential, region


def account(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "aws.sts.get_caller_identity", **more}


def regions(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "aws.ec2.describe_availability_zones", **more}


def test_the_credential_is_an_account_and_its_default_region(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    nodes = [
        account("mine"),
        account("other", credential="elsewhere"),
        regions("here"),
        regions("there", credential="elsewhere"),
        regions("over", region="ap-south-1"),
    ]
    ended = programs.run(flow(nodes))

    assert ended.status == "success"
    assert ended.output("mine")["Account"] == "123456789012"
    assert ended.output("other")["Account"] == "222222222222"
    zones = {
        id: ended.output(id)["AvailabilityZones"][0]["RegionName"]
        for id in ended.statuses
        if "AvailabilityZones" in ended.output(id)
    }
    assert zones == {"here": "us-east-1", "there": "eu-west-1", "over": "ap-south-1"}


def test_a_credential_has_to_be_one_of_the_project_and_of_the_provider(programs: Programs) -> None:
    (found,) = programs.check(flow([account("a", credential="clod")])).diagnostics

    assert found.code == "CF3005"
    assert "cloud" in (found.suggestion or "")


# retry


@pytest.fixture
def unsteady() -> Unsteady:
    return Unsteady()


@pytest.fixture
def web(unsteady: Unsteady) -> Iterator[Web]:
    with serving(unsteady) as web:
        yield web


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_a_failed_attempt_is_repeated_until_it_succeeds(
    programs: Programs, web: Web, way: Way
) -> None:
    ask = get("ask", web.url(), retry={"max_attempts": 5, "delay": 0})
    ended = programs.run(chain(MANUAL, ask), way=way)

    assert ended.status == "success"
    assert ended.summary["nodes"]["ask"]["attempts"] == 3
    assert len(ended.events(dg.DagsterEventType.STEP_UP_FOR_RETRY)) == 2


def test_max_attempts_counts_the_first_one(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    ended = programs.run(
        chain(MANUAL, get("ask", web.url(), retry={"max_attempts": 2, "delay": 0}))
    )

    assert ended.status == "failure"
    assert ended.error("ask")["attempts"] == 2
    assert unsteady.counted == {"/": 2}


def test_without_retry_it_is_tried_once(programs: Programs, web: Web, unsteady: Unsteady) -> None:
    assert programs.run(chain(MANUAL, get("ask", web.url()))).status == "failure"
    assert unsteady.counted == {"/": 1}


@pytest.mark.parametrize(
    ("backoff", "at_least"),
    [("constant", [0.2, 0.2, 0.2]), ("linear", [0.2, 0.4, 0.6]), ("exponential", [0.2, 0.4, 0.8])],
)
def test_backoff_says_how_the_delay_grows(
    programs: Programs, web: Web, unsteady: Unsteady, backoff: str, at_least: list[float]
) -> None:
    """A pause is at least as long as it says; how much longer is the machine's affair."""
    unsteady.failures = 3
    retry = {"max_attempts": 4, "delay": 0.2, "backoff": backoff, "jitter": "none"}
    ended = programs.run(chain(MANUAL, get("ask", web.url(), retry=retry)))
    pauses = [b - a for a, b in zip(unsteady.times, unsteady.times[1:], strict=False)]

    assert ended.status == "success"
    assert all(pause >= least for pause, least in zip(pauses, at_least, strict=True))
    said = [float(s) for s in _delays(ended.history)]
    assert said == pytest.approx(at_least)


def _delays(history: str) -> list[str]:
    return re.findall(r"user_message='Attempt \d+ failed [^']*starts in ([\d.]+) s", history)


@pytest.mark.parametrize("jitter", ["full", "plus_minus"])
def test_jitter_spreads_the_delay(
    programs: Programs, web: Web, unsteady: Unsteady, jitter: str
) -> None:
    unsteady.failures = 6
    retry = {"max_attempts": 7, "delay": 0.05, "backoff": "constant", "jitter": jitter}
    ended = programs.run(chain(MANUAL, get("ask", web.url(), retry=retry)))
    said = [float(s) for s in _delays(ended.history)]

    assert ended.status == "success"
    assert len(set(said)) > 1
    assert all(0 <= delay <= (0.05 if jitter == "full" else 0.1) for delay in said)


def test_on_names_the_error_codes_to_retry(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    unsteady.status = 404
    named = {"max_attempts": 5, "delay": 0, "on": ["HttpStatus"]}
    other = {"max_attempts": 5, "delay": 0, "on": ["Timeout"]}
    nodes = [
        get("named", web.url("/named"), retry=named),
        get("other", web.url("/other"), retry=other),
    ]
    ended = programs.run(flow(nodes))

    assert unsteady.counted == {"/named": 3, "/other": 1}
    assert ended.statuses == {"named": "success", "other": "failure"}


def test_without_on_what_is_transient_is_retried_and_nothing_else(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    retry = {"max_attempts": 3, "delay": 0}
    unsteady.failures = 5
    nodes = [get("busy", web.url("/busy"), retry=retry), code("wrong", "return 1 / 0", retry=retry)]
    ended = programs.run(flow(nodes))
    assert unsteady.counted == {"/busy": 3}
    assert ended.error("busy")["attempts"] == 3
    assert ended.error("wrong")["attempts"] == 1

    unsteady.status = 404
    programs.run(flow([get("missing", web.url("/missing"), retry=retry)]))
    assert unsteady.counted["/missing"] == 1


def test_what_aws_calls_transient_is_retried(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = {"__type": "ThrottlingException", "message": "Rate exceeded"}
    with serving(lambda _: Answer(400, json.dumps(throttled))) as web:
        monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", web.url(""))
        node = {
            "id": "tables",
            "type": "aws.dynamodb.list_tables",
            "retry": {"max_attempts": 3, "delay": 0},
        }
        ended = programs.run(flow([node]))

    assert ended.code("tables") == "ThrottlingException"
    assert ended.error("tables")["attempts"] == 3


def test_an_error_of_the_caller_that_aws_names_is_not_retried(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    node = {
        "id": "volumes",
        "type": "aws.ec2.describe_volumes",
        "config": {"VolumeIds": ["vol-00000000000000000"]},
        "retry": {"max_attempts": 3, "delay": 0},
    }
    ended = programs.run(flow([node]))

    assert ended.code("volumes") == "InvalidVolume.NotFound"
    assert ended.error("volumes")["attempts"] == 1
    assert ended.error("volumes")["provider_request_id"]
