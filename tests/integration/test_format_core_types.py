"""The flow format, "The core node types", on running flows."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    chain,
    code,
    flow,
    get,
    result,
    switch,
    value,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


def found(programs: Programs, made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(d.code, d.severity, str(d.at.pointer)) for d in programs.check(made).diagnostics]


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
