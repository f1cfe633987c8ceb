"""The flow format, "Starting, waiting, calling" and "The core node types", on running flows."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.definitions import build_definitions
from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
    breaks,
    call,
    chain,
    code,
    cron,
    flow,
    get,
    if_,
    loop,
    params,
    result,
    switch,
    value,
    wait,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


def found(programs: Programs, made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(d.code, d.severity, str(d.at.pointer)) for d in programs.check(made).diagnostics]


def tick(programs: Programs, schedule: str, at: datetime) -> dg.RunRequest:
    """Return the run that a schedule asks for at a time."""
    made = build_definitions(programs.project)
    (one,) = [s for s in made.schedules or () if s.name == schedule]
    context = dg.build_schedule_context(instance=programs.instance, scheduled_execution_time=at)
    data = one.evaluate_tick(context)  # type: ignore[union-attr]
    (request,) = data.run_requests or ()
    return request


# Starting


def test_a_schedules_params_fill_the_flows_params(programs: Programs) -> None:
    """With expressions over `trigger`; those that are not filled have their defaults."""
    night = cron(
        "night",
        timezone="UTC",
        params={"day": "{{ $substring(trigger.payload.scheduled_at, 0, 10) }}", "keep": 3},
    )
    path = programs.write(
        chain(
            night,
            result("{{ params }}"),
            params=params(
                day={"type": "string"},
                keep={"type": "integer", "default": 7},
                env={"type": "string", "default": "prod"},
            ),
        ),
        "nightly",
    )
    request = tick(programs, "nightly__night", datetime(2026, 3, 1, 2, tzinfo=UTC))
    ended = programs.launch(path, request.run_config)

    assert ended.result == {"day": "2026-03-01", "keep": 3, "env": "prod"}


def test_without_params_a_start_by_hand_fills_them_and_others_use_the_defaults(
    programs: Programs,
) -> None:
    made = flow(
        [MANUAL, cron("night"), result("{{ params.keep }}")],
        ["start > end", "night > end"],
        params=params(keep={"type": "integer", "default": 7}),
    )
    path = programs.write(made, "nightly")
    request = tick(programs, "nightly__night", datetime(2026, 3, 1, 2, tzinfo=UTC))

    assert programs.run(path, {"keep": 3}).result == 3
    assert programs.launch(path, request.run_config).result == 7


def test_params_of_a_manual_trigger_are_overridden_by_what_is_given(programs: Programs) -> None:
    start = MANUAL | {"config": {"params": {"a": "filled", "b": "filled"}}}
    made = chain(
        start,
        result("{{ params }}"),
        params=params(a={"type": "string"}, b={"type": "string", "default": "default"}),
    )

    assert programs.run(made, {"a": "given"}).result == {"a": "given", "b": "filled"}


def test_a_required_param_that_an_automatic_trigger_cannot_fill_is_an_error(
    programs: Programs,
) -> None:
    needed = {**params(env={"type": "string"}), "required": ["env"]}

    assert found(programs, flow([cron("night")], params=needed)) == [
        ("CF5002", "error", "/nodes/0")
    ]
    assert found(programs, flow([MANUAL], params=needed)) == []
    filled = cron("night", params={"env": "prod"})
    assert found(programs, flow([filled], params=needed)) == []


def test_a_cron_trigger_is_a_schedule_and_its_payload_is_scheduled_at(programs: Programs) -> None:
    """With a list of schedules and a time zone."""
    night = cron("night", ["0 2 * * *", "30 14 * * *"], timezone="Europe/Berlin")
    path = programs.write(chain(night, result("{{ trigger }}")), "nightly")
    (schedule,) = build_definitions(programs.project).schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert list(schedule.cron_schedule) == ["0 2 * * *", "30 14 * * *"]
    assert schedule.execution_timezone == "Europe/Berlin"

    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    event = programs.launch(path, tick(programs, "nightly__night", at).run_config).result
    assert set(event) == {"type", "time", "payload"}
    assert event["type"] == "trigger.cron"
    assert event["payload"].keys() == {"scheduled_at"}
    assert datetime.fromisoformat(event["payload"]["scheduled_at"]) == at


def test_a_manual_triggers_payload_is_the_params_given(programs: Programs) -> None:
    made = chain(
        MANUAL,
        result("{{ trigger.payload }}"),
        params=params(a={"type": "integer"}, b={"type": "integer", "default": 2}),
    )
    path = programs.write(made)

    assert programs.run(path, {"a": 1}).result == {"a": 1}
    assert programs.run(path, {"a": 1}, way="dagster").result == {"a": 1}
    assert programs.run(path).result == {}


# Waiting


def test_a_wait_passes_on_what_came_in(programs: Programs) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    nodes = [
        MANUAL,
        value("one", {"a": 1}),
        wait("seconds", seconds=0.2),
        wait("until", until="{{ '" + soon + "' }}"),
        result("{{ [input, $now() >= '" + soon[:19] + "'] }}"),
    ]
    ended = programs.run(chain(*nodes))

    assert ended.result == [{"a": 1}, True]
    assert ended.output("seconds") == {"a": 1}


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"seconds": 61}, "CF9001"),
        ({"until": "2030-01-01T00:00:00Z"}, "CF9001"),
        ({"approval": {"message": "Go on?", "approvers": ["ops"]}}, "CF9002"),
        ({"resume": True}, "CF9003"),
    ],
)
def test_waits_over_a_minute_approvals_and_resume_urls_are_not_supported_yet(
    programs: Programs, config: dict[str, Any], code: str
) -> None:
    (diagnostic,) = programs.check(chain(MANUAL, wait("pause", **config))).diagnostics

    assert (diagnostic.code, diagnostic.severity) == (code, "error")
    assert "not supported yet" in diagnostic.message


def test_a_wait_that_turns_out_to_be_too_long_fails_and_says_so(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, wait("pause", seconds="{{ 30 * 30 }}")))

    assert ended.code("pause") == "NotSupportedYet"


@pytest.mark.parametrize("config", [{}, {"seconds": 1, "until": "{{ $now() }}"}])
def test_a_wait_has_one_of_its_fields(programs: Programs, config: dict[str, Any]) -> None:
    assert [c for c, _, _ in found(programs, chain(MANUAL, wait("pause", **config)))] == ["CF3004"]


# Calling


DOUBLE = chain(MANUAL, result("{{ params.n * 2 }}"), params=params(n={"type": "integer"}))


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_a_call_runs_another_flow_as_a_child_run_and_gives_its_result(
    programs: Programs, way: Way
) -> None:
    programs.write(DOUBLE, "double")
    before = len(programs.runs_of("double"))
    ended = programs.run(
        chain(MANUAL, call("call", "double", params={"n": "{{ 20 + 1 }}"}), result()), way=way
    )
    children = programs.runs_of("double")[before:]

    assert ended.result == 42
    assert ended.output("call") == 42
    assert [child.tags["cloudflow/parent_run"] for child in children] == [ended.id]
    assert children[0].status is dg.DagsterRunStatus.SUCCESS


def test_a_child_that_fails_fails_the_call(programs: Programs) -> None:
    programs.write(chain(MANUAL, breaks("bad")), "bad_child")
    nodes = [MANUAL, call("call", "bad_child"), result("{{ input.message }}")]
    ended = programs.run(flow(nodes, ["start > call", "call.error > end"]))

    assert "`bad`" in ended.result
    assert "broken on purpose" in ended.result


def test_a_flow_may_reach_itself_only_with_max_depth_set(programs: Programs) -> None:
    nodes = [
        MANUAL,
        if_("more", "{{ params.n > 0 }}"),
        call("call", "down", params={"n": "{{ params.n - 1 }}"}, max_depth=3),
        result("{{ params.n = 0 ? [0] : $append(nodes.call, params.n) }}"),
    ]
    edges = ["start > more", "more.true > call", "call > end", "more.false > end"]
    made = flow(nodes, edges, params=params(n={"type": "integer"}))
    path = programs.write(made, "down")

    assert programs.run(path, {"n": 2}).result == [0, 1, 2]
    assert "MaxDepth" in programs.run(path, {"n": 3}).error("call")["message"]
    del nodes[2]["config"]["max_depth"]
    diagnostics = programs.check(flow(nodes, edges, params=params(n={"type": "integer"})), "down")
    assert [d.code for d in diagnostics.diagnostics] == ["CF5007"]


def test_a_flow_that_reaches_itself_by_another_one_needs_max_depth_too(
    programs: Programs,
) -> None:
    programs.write(chain(MANUAL, call("call", "ping")), "pong")
    codes = [
        d.code for d in programs.check(chain(MANUAL, call("call", "pong")), "ping").diagnostics
    ]

    assert "CF5007" in codes


def test_a_call_is_checked_against_the_other_flow(programs: Programs) -> None:
    programs.write(DOUBLE, "double")

    (unknown,) = programs.check(chain(MANUAL, call("call", "doubel"))).diagnostics
    assert unknown.code == "CF5005"
    assert "double" in (unknown.suggestion or "")
    wrong = chain(MANUAL, call("call", "double", params={"n": "many"}))
    assert [c for c, _, _ in found(programs, wrong)] == ["CF5006"]


# Results


def test_flow_result_sets_what_the_flow_returns(programs: Programs) -> None:
    """It may stand anywhere, and what comes after it runs too."""
    ended = programs.run(
        chain(MANUAL, result({"a": [1]}, "early"), value("after", "{{ input.a }}"))
    )

    assert ended.result == {"a": [1]}
    assert ended.output("after") == [1]


def test_flow_result_is_not_allowed_inside_loops(programs: Programs) -> None:
    made = flow([MANUAL, loop("each", [1]), result(1)], ["start > each", "each.item > end"])

    assert [c for c, _, _ in found(programs, made)] == ["CF2010"]


def test_of_several_results_that_ran_the_last_in_canonical_order_counts(
    programs: Programs,
) -> None:
    """Topological, then alphabetical: neither the file's order, nor which ended last."""
    nodes = [
        result("b", "b_result"),
        result("a", "a_result"),
        result("skipped", "z_skipped"),
        if_("no", "{{ false }}"),
        wait("slow", seconds=0.3),
        MANUAL,
    ]
    edges = [
        "start > b_result",
        "start > slow",
        "slow > a_result",
        "start > no",
        "no.true > z_skipped",
    ]
    # canonical: start, b_result, no, slow, a_result, z_skipped
    assert programs.run(flow(nodes, edges)).result == "a"
    without_wait = flow(
        [n for n in nodes if n["id"] != "slow"], ["start > a_result", *edges[:1], *edges[3:]]
    )
    assert programs.run(without_wait).result == "b"


def test_without_a_result_it_is_null(programs: Programs) -> None:
    programs.write(chain(MANUAL, value("one", 1)), "silent")
    ended = programs.run(chain(MANUAL, call("call", "silent"), result({"got": "{{ input }}"})))

    assert ended.result == {"got": None}
    assert programs.run(chain(MANUAL, value("one", 1))).result is None


def test_a_result_of_null_is_a_result(programs: Programs) -> None:
    nodes = [MANUAL, result(1, "a"), result(None, "b")]

    assert programs.run(chain(*nodes)).result is None


# The core node types


def test_a_switch_goes_on_at_the_first_case_that_holds(programs: Programs) -> None:
    """The conditions after it are not evaluated."""
    nodes = [
        MANUAL,
        value("size", {"n": 5}),
        switch("pick", small="{{ input.n < 3 }}", big="{{ input.n > 3 }}", bad="{{ $error('x') }}"),
        result("{{ input.n }}"),
        value("not_taken"),
    ]
    edges = ["start > size", "size > pick", "pick.big > end", "pick.small > not_taken"]
    edges += ["pick.bad > not_taken", "pick.default > not_taken"]
    ended = programs.run(flow(nodes, edges))

    assert ended.result == 5
    assert ended.statuses["not_taken"] == "skipped"
    assert ended.output("pick") == {"n": 5}


def test_without_a_case_that_holds_a_switch_goes_on_at_default(programs: Programs) -> None:
    nodes = [MANUAL, value("one", 1), switch("pick", a="{{ false }}"), result("{{ input }}")]
    edges = ["start > one", "one > pick", "pick.default > end"]

    assert programs.run(flow(nodes, edges)).result == 1


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("Big_1", True),
        ("default", False),
        ("error", False),
        ("1st", False),
        ("a-b", False),
        ("", False),
    ],
)
def test_names_of_cases(programs: Programs, name: str, fine: bool) -> None:
    made = chain(MANUAL, switch("pick", **{name: "{{ true }}"}))
    assert (found(programs, made) == []) is fine


def test_transform_gives_any_json_with_expressions_in_it(programs: Programs) -> None:
    written = {"a": [1, "{{ 1 + 1 }}", None, True, {"b": "{{ 'x' }}"}], "c": 1.5}
    ended = programs.run(chain(MANUAL, value("made", written), result()))

    assert ended.result == {"a": [1, 2, None, True, {"b": "x"}], "c": 1.5}


def test_code_runs_main_with_inputs_and_is_never_interpolated(programs: Programs) -> None:
    body = "return {'sum': sum(inputs['n']), 'text': '{{ params.x }}', 'braces': f'{{}}'}"
    nodes = [MANUAL, code("work", body, {"n": "{{ [1, 2, 3] }}"}), result()]
    ended = programs.run(chain(*nodes))

    assert ended.result == {"sum": 6, "text": "{{ params.x }}", "braces": "{}"}


def test_code_without_main_or_with_an_error_fails(programs: Programs) -> None:
    no_main = {"id": "work", "type": "generic.code", "config": {"code": "x = 1", "inputs": 1}}
    assert [c for c, _, _ in found(programs, chain(MANUAL, no_main))] == ["CF3004"]
    ended = programs.run(chain(MANUAL, code("work", "return 1 / 0")))
    assert ended.code("work") == "CodeError"
    assert "ZeroDivisionError" in ended.error("work")["message"]


@pytest.fixture
def echo() -> Iterator[Any]:
    def site(asked: Asked) -> Answer:
        if asked.path.startswith("/status/"):
            return Answer(int(asked.path.removeprefix("/status/")), "said")
        seen = {
            "method": asked.method,
            "path": asked.path,
            "query": asked.query,
            "headers": asked.headers,
            "body": asked.body.decode(),
        }
        return Answer(body=json.dumps(seen), headers={**JSON, "X-Seen": "yes"})

    with serving(site) as web:
        yield web


def test_an_http_request_sends_what_it_says_and_gives_status_headers_and_body(
    programs: Programs, echo: Any
) -> None:
    nodes = [
        get("asks", echo.url("/a"), {"query": {"q": "{{ 1 + 1 }}"}, "headers": {"X-Who": "me"}}),
        get("json", echo.url(), {"method": "POST", "json": {"a": [1]}}),
        get("form", echo.url(), {"method": "PUT", "form": {"a": "1 2", "b": 3}}),
        get("body", echo.url(), {"method": "POST", "body": "plain {{ 'text' }}"}),
        get("auth", echo.url(), {"auth": {"type": "basic", "username": "u", "password": "p"}}),
        get("secret", echo.url(), {"auth": {"type": "bearer", "token": "{{ $secret('token') }}"}}),
    ]
    ended = programs.run(flow(nodes))

    def seen(id: str) -> Any:
        return ended.output(id)["body"]

    assert ended.output("asks").keys() == {"status", "headers", "body"}
    assert ended.output("asks")["status"] == 200
    assert ended.output("asks")["headers"]["x-seen"] == "yes"
    assert (seen("asks")["method"], seen("asks")["path"]) == ("GET", "/a")
    assert seen("asks")["query"] == {"q": "2"}
    assert seen("asks")["headers"]["x-who"] == "me"
    assert json.loads(seen("json")["body"]) == {"a": [1]}
    assert seen("json")["headers"]["content-type"] == "application/json"
    assert (seen("form")["method"], seen("form")["body"]) == ("PUT", "a=1+2&b=3")
    assert seen("body")["body"] == "plain text"
    basic = echo.asked[[a.path for a in echo.asked].index("/")].headers
    assert basic is not None
    sent = {a.headers.get("authorization") for a in echo.asked} - {None}
    assert sent == {
        "Basic " + base64.b64encode(b"u:p").decode(),
        f"Bearer {SECRET}",
    }
    assert SECRET not in json.dumps(ended.summary)


SECRET = "open-sesame-1859"


@pytest.mark.parametrize(
    ("status", "expect", "fine"),
    [
        (200, None, True),
        (204, None, True),
        (399, None, True),
        (404, None, False),
        (500, None, False),
        (404, [200, 404], True),
        (200, [404], False),
    ],
)
def test_expect_says_which_status_codes_are_not_errors(
    programs: Programs, echo: Any, status: int, expect: Any, fine: bool
) -> None:
    config = {} if expect is None else {"expect": expect}
    ended = programs.run(flow([get("ask", echo.url(f"/status/{status}"), config)]))

    assert (ended.status == "success") is fine
    if not fine:
        assert ended.code("ask") == "HttpStatus"


def test_an_http_request_has_a_timeout_of_its_own(programs: Programs) -> None:
    def site(asked: Asked) -> Answer:
        time.sleep(2)
        return Answer()

    with serving(site) as web:
        ended = programs.run(flow([get("ask", web.url(), {"timeout": 0.3})]))

    assert ended.code("ask") == "Timeout"


def test_an_http_request_gets_all_pages(programs: Programs) -> None:
    def site(asked: Asked) -> Answer:
        page = int(asked.query.get("page", 1))
        items = [page * 10, page * 10 + 1] if page < 4 else []
        return Answer(body=json.dumps({"items": items}), headers=JSON)

    with serving(site) as web:
        paginate = {"by": "page", "param": "page", "items": "body.items"}
        ended = programs.run(flow([get("ask", web.url(), {"paginate": paginate})]))

    assert ended.output("ask")["body"] == [10, 11, 20, 21, 30, 31]


# AWS


@pytest.fixture
def cloud(separate_cloud: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    return separate_cloud


def aws(id: str, type_: str, **config: Any) -> dict[str, Any]:
    return {"id": id, "type": f"aws.{type_}", "config": config}


def test_an_aws_operation_takes_and_gives_the_apis_own_names(
    programs: Programs, cloud: str
) -> None:
    nodes = [
        MANUAL,
        aws("make", "ec2.create_volume", AvailabilityZone="us-east-1a", Size=1),
        aws("volume", "ec2.describe_volumes", VolumeIds=["{{ nodes.make.VolumeId }}"]),
        result("{{ nodes.volume.Volumes[0].Size }}"),
    ]

    assert programs.run(chain(*nodes)).result == 1
    (wrong,) = programs.check(flow([aws("a", "ec2.describe_volumes", VolumeIDs=["x"])])).diagnostics
    assert (wrong.code, "VolumeIds" in (wrong.suggestion or "")) == ("CF3002", True)


def test_paginate_joins_the_result_keys_of_all_pages(programs: Programs, cloud: str) -> None:
    names = [f"/format/{n}" for n in range(5)]
    puts = [
        aws(f"put_{n}", "ssm.put_parameter", Name=name, Value="x", Type="String", Overwrite=True)
        for n, name in enumerate(names)
    ]
    one = aws("one", "ssm.get_parameters_by_path", Path="/format", MaxResults=2)
    all_ = aws("all", "ssm.get_parameters_by_path", Path="/format", MaxResults=2, paginate=True)
    ended = programs.run(chain(MANUAL, *puts, one, all_))

    assert len(ended.output("one")["Parameters"]) == 2
    assert sorted(p["Name"] for p in ended.output("all")["Parameters"]) == names


def test_wait_for_waits_until_a_waiter_is_satisfied(programs: Programs, cloud: str) -> None:
    made = aws(
        "make",
        "ec2.create_volume",
        AvailabilityZone="us-east-1a",
        Size=1,
        wait_for="volume_available",
    )
    ended = programs.run(chain(MANUAL, made))
    assert ended.status == "success"
    (wrong,) = programs.check(
        flow([made | {"config": {**made["config"], "wait_for": "volume_avalable"}}])
    ).diagnostics
    assert "volume_available" in (wrong.suggestion or wrong.message)


def test_bytes_are_text_where_they_are_utf_8_else_base64_and_large_streams_are_files(
    programs: Programs, cloud: str
) -> None:
    binary = base64.b64encode(bytes(range(128, 256))).decode()
    large = "x" * 300_000
    nodes = [
        MANUAL,
        aws("bucket", "s3.create_bucket", Bucket="format-bytes"),
        aws("put_text", "s3.put_object", Bucket="format-bytes", Key="text", Body="grüße"),
        aws(
            "put_binary",
            "s3.put_object",
            Bucket="format-bytes",
            Key="binary",
            Body={"base64": binary},
        ),
        aws("put_large", "s3.put_object", Bucket="format-bytes", Key="large", Body=large),
        aws("text", "s3.get_object", Bucket="format-bytes", Key="text"),
        aws("binary", "s3.get_object", Bucket="format-bytes", Key="binary"),
        aws("large", "s3.get_object", Bucket="format-bytes", Key="large"),
        aws(
            "again",
            "s3.put_object",
            Bucket="format-bytes",
            Key="again",
            Body="{{ nodes.large.Body }}",
        ),
        aws("copy", "s3.head_object", Bucket="format-bytes", Key="again"),
    ]
    ended = programs.run(chain(*nodes))

    assert ended.status == "success"
    assert ended.output("text")["Body"] == "grüße"
    assert ended.output("binary")["Body"] == {"base64": binary}
    assert set(ended.output("large")["Body"]) == {"file"}
    assert ended.output("copy")["ContentLength"] == 300_000
