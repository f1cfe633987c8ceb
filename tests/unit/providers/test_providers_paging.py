"""Getting all pages of a real server's answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers import catalogue
from tests.fixtures.calls import WorkingCall
from tests.fixtures.web import Answer, Asked, serving

ITEMS = [{"n": n} for n in range(25)]


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(tmp_path)


def send(call: WorkingCall, config: dict[str, Any]) -> Any:
    found = catalogue().get("generic.http.request")
    assert found is not None
    assert found.handler is not None
    return found.handler(call, config)


def findings(paginate: dict[str, Any]) -> list[tuple[str | int, ...]]:
    found = catalogue().get("generic.http.request")
    assert found is not None
    assert found.check_config is not None
    return [path for path, _ in found.check_config({"url": "https://a", "paginate": paginate})]


def answer(body: Any, **headers: str) -> Answer:
    return Answer(body=json.dumps(body), headers={"Content-Type": "application/json", **headers})


def sliced(first: int, size: int = 10) -> list[dict[str, int]]:
    return ITEMS[first : first + size]


def by_link(asked: Asked) -> Answer:
    at = int(asked.query.get("at", 0))
    onward = {"Link": f'</list?at={at + 10}>; rel="next", </list>; rel="first"'}
    return answer(sliced(at), **(onward if at < 20 else {}))


def by_next_url(asked: Asked) -> Answer:
    at = int(asked.query.get("at", 0))
    return answer({"items": sliced(at), "next": f"list?at={at + 10}" if at < 20 else None})


def by_cursor(asked: Asked) -> Answer:
    given = json.loads(asked.body)["after"] if asked.body else asked.query.get("after")
    at = int(str(given or "c0").removeprefix("c"))
    return answer({"items": sliced(at), "meta": {"after": f"c{at + 10}"} if at < 20 else {}})


def by_page(asked: Asked) -> Answer:
    return answer(sliced((int(asked.query["page"]) - 1) * 10))


def by_offset(asked: Asked) -> Answer:
    return answer({"data": sliced(int(asked.query["skip"]), int(asked.query["top"]))})


@pytest.mark.parametrize(
    ("site", "paginate", "requests"),
    [
        (by_link, {"by": "link"}, 3),
        (by_next_url, {"by": "next_url", "next": "body.next", "items": "body.items"}, 3),
        (by_next_url, {"by": "next_url", "next": "{{ body.next }}", "items": "body.items"}, 3),
        (
            by_cursor,
            {"by": "cursor", "param": "after", "next": "body.meta.after", "items": "body.items"},
            3,
        ),
        (by_page, {"by": "page"}, 4),
        (by_page, {"by": "page", "size": 10}, 3),
        (
            by_offset,
            {"by": "offset", "param": "skip", "size": 5, "size_param": "top", "items": "body.data"},
            6,
        ),
    ],
    ids=["link", "next_url", "braces", "cursor", "page", "sized-page", "offset"],
)
def test_the_items_of_all_pages_are_joined(
    call: WorkingCall, site: Callable[[Asked], Answer], paginate: dict[str, Any], requests: int
) -> None:
    with serving(site) as web:
        config = {"url": web.url("/list"), "query": {"q": "x y"}, "paginate": paginate}
        given = send(call, config)
    assert given["body"] == ITEMS
    assert given["status"] == 200
    assert len(web.asked) == requests
    assert len(call.log.lines) == requests


def test_parameters_of_the_query_go_along_with_numbers_and_cursors(call: WorkingCall) -> None:
    with serving(by_page) as web:
        send(call, {"url": web.url("/?page=7"), "query": {"q": "x"}, "paginate": {"by": "page"}})
    assert [asked.pairs for asked in web.asked[:2]] == [
        [("page", "1"), ("q", "x")],
        [("page", "2"), ("q", "x")],
    ]


def test_a_cursor_may_be_sent_in_json(call: WorkingCall) -> None:
    paginate = {"by": "cursor", "param": "after", "next": "body.meta.after", "place": "json"}
    paginate["items"] = "body.items"
    with serving(by_cursor) as web:
        config = {"url": web.url(), "method": "POST", "json": {"after": None, "q": 1}}
        assert send(call, {**config, "paginate": paginate})["body"] == ITEMS
        assert [json.loads(asked.body) for asked in web.asked[:2]] == [
            {"after": None, "q": 1},
            {"after": "c10", "q": 1},
        ]
        with pytest.raises(NodeError, match="must be an object"):
            send(call, {**config, "json": [1], "paginate": paginate})


def test_pages_without_a_list_are_items_themselves(call: WorkingCall) -> None:
    with serving(by_next_url) as web:
        config = {"url": web.url(), "paginate": {"by": "next_url", "next": "body.next"}}
        body = send(call, config)["body"]
    assert [len(page["items"]) for page in body] == [10, 10, 5]


def test_max_pages_ends_it_and_the_log_says_so(call: WorkingCall) -> None:
    with serving(by_link) as web:
        given = send(call, {"url": web.url(), "paginate": {"by": "link", "max_pages": 2}})
    assert given["body"] == ITEMS[:20]
    assert "Stopped after 2 pages" in call.log.text


def test_more_pages_than_anybody_asked_for_are_an_error(call: WorkingCall) -> None:
    def endless(asked: Asked) -> Answer:
        page = int(asked.query.get("p", 0))
        return answer([page], Link=f'<?p={page + 1}>; rel="next"')

    with serving(endless) as web:
        with pytest.raises(NodeError, match="max_pages") as caught:
            send(call, {"url": web.url(), "paginate": {"by": "link"}})
        assert caught.value.code == "TooManyPages"
        assert len(web.asked) == 100


def test_pages_that_name_each_other_are_an_error(call: WorkingCall) -> None:
    with serving(lambda _: answer([1], Link='</b>; rel="next"')) as web:
        with pytest.raises(NodeError, match="never end") as caught:
            send(call, {"url": web.url("/a"), "paginate": {"by": "link"}})
        assert caught.value.code == "InvalidPaging"
        assert len(web.asked) == 2


def test_a_next_page_on_another_host_gets_no_credentials(call: WorkingCall) -> None:
    with serving(lambda _: answer([2])) as other:

        def site(asked: Asked) -> Answer:
            return answer([1], Link=f'<{other.url("/", host="localhost")}>; rel="next"')

        with serving(site) as web:
            for auth in (
                {"type": "bearer", "token": "hunter2"},
                {"type": "query", "name": "key", "value": "hunter2"},
            ):
                config = {"url": web.url(), "headers": {"X-Token": "hunter2"}, "auth": auth}
                assert send(call, {**config, "paginate": {"by": "link"}})["body"] == [1, 2]
    assert "hunter2" in str(web.asked)
    assert "hunter2" not in str(other.asked)


def test_a_key_in_the_query_is_sent_to_every_page_once(call: WorkingCall) -> None:
    auth = {"type": "query", "name": "key", "value": "k"}
    with serving(by_link) as web:
        send(call, {"url": web.url(), "auth": auth, "paginate": {"by": "link"}})
    assert [[p for p in asked.pairs if p[0] == "key"] for asked in web.asked] == [
        [("key", "k")]
    ] * 3


def test_a_next_page_at_a_metadata_address_is_refused(call: WorkingCall) -> None:
    site = lambda _: answer([1], Link='<http://169.254.169.254/>; rel="next"')  # noqa: E731 - short
    with serving(site) as web, pytest.raises(NodeError, match="ForbiddenAddress"):
        send(call, {"url": web.url(), "paginate": {"by": "link"}})


def test_a_page_number_needs_a_list_to_count(call: WorkingCall) -> None:
    raises = pytest.raises(NodeError, match="say in `items`")
    with serving(lambda _: answer({"data": []})) as web, raises:
        send(call, {"url": web.url(), "paginate": {"by": "page"}})


def test_an_expression_that_fails_says_which(call: WorkingCall) -> None:
    paginate = {"by": "next_url", "next": "$number(body.next)"}
    with serving(lambda _: answer({"next": "x"})) as web:
        with pytest.raises(NodeError, match="number") as caught:
            send(call, {"url": web.url(), "paginate": paginate})
        assert caught.value.code == "InvalidPaging"


def test_what_comes_from_the_server_is_never_an_expression(call: WorkingCall) -> None:
    evil = '{{ $secret("x") }}'
    paginate = {"by": "next_url", "next": "body.next", "items": "body.items"}
    with serving(lambda _: answer({"items": [evil]})) as web:
        assert send(call, {"url": web.url(), "paginate": paginate})["body"] == [evil]


@pytest.mark.parametrize(
    ("paginate", "field"),
    [
        ({"by": "cursor"}, "by"),
        ({"by": "next_url", "next": ""}, "by"),
        ({"by": "link", "next": "body.x"}, "next"),
        ({"by": "page", "size_param": "n"}, "size_param"),
        ({"by": "cursor", "next": "body.["}, "next"),
        ({"by": "page", "items": "body.items)"}, "items"),
    ],
)
def test_pages_that_cannot_work_are_found_before(paginate: dict[str, Any], field: str) -> None:
    assert findings(paginate) == [("paginate", field)]


def test_pages_are_json(call: WorkingCall) -> None:
    found = catalogue().get("generic.http.request")
    assert found is not None
    assert found.check_config is not None
    config = {"url": "https://a", "response": "file", "paginate": {"by": "link"}}
    assert [path for path, _ in found.check_config(config)] == [("response",)]
    with pytest.raises(NodeError, match="leave `response` out"):
        send(call, config)
    raises = pytest.raises(NodeError, match="not JSON")
    with serving(lambda _: Answer(body="<html>")) as web, raises:
        send(call, {"url": web.url(), "paginate": {"by": "link"}})
