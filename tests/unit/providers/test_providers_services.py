"""Slack, GitHub and SQL: what arrives at a real server, and in a real database."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers import catalogue
from tests.fixtures.calls import WorkingCall
from tests.fixtures.web import Answer, serving


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(files=tmp_path)


def run(call: WorkingCall, id: str, **config: Any) -> Any:
    node_type = catalogue().get(id)
    assert node_type is not None
    assert node_type.handler is not None
    return node_type.handler(call, config)


def test_a_message_goes_to_the_webhook_whose_address_is_hidden(call: WorkingCall) -> None:
    with serving(lambda _: Answer(body="ok")) as web:
        hook = web.url("/services/T0/B0/very-secret")
        assert run(call, "generic.slack.message", webhook=hook, text="Done") == {"status": 200}
    assert json.loads(web.asked[0].body) == {"text": "Done"}
    assert call.hidden == [hook]


def test_a_workflow_is_started_with_its_inputs(call: WorkingCall) -> None:
    with serving(lambda _: Answer(204)) as web:
        run(
            call,
            "generic.github.dispatch",
            api=web.url(),
            repository="acme/shop",
            workflow="deploy.yml",
            token="ghp_canary",
            inputs={"stage": "test"},
        )
    asked = web.asked[0]
    assert asked.path == "/repos/acme/shop/actions/workflows/deploy.yml/dispatches"
    assert json.loads(asked.body) == {"ref": "main", "inputs": {"stage": "test"}}
    assert {k.lower(): v for k, v in asked.headers.items()}["authorization"] == "Bearer ghp_canary"
    assert "ghp_canary" not in call.log.text


def test_an_issue_is_opened(call: WorkingCall) -> None:
    made = {"number": 7, "html_url": "https://github.com/acme/shop/issues/7"}
    kind = {"Content-Type": "application/json"}
    with serving(lambda _: Answer(201, json.dumps(made), kind)) as web:
        config = {"api": web.url(), "repository": "acme/shop", "token": "t", "title": "Broken"}
        opened = run(call, "generic.github.issue", labels=["bug"], **config)
    assert opened == {"number": 7, "url": "https://github.com/acme/shop/issues/7"}
    assert json.loads(web.asked[0].body)["labels"] == ["bug"]


def test_what_github_refuses_is_an_error_with_its_status(call: WorkingCall) -> None:
    with serving(lambda _: Answer(404, '{"message": "Not Found"}')) as web:
        config = {"api": web.url(), "repository": "acme/none", "token": "t", "title": "x"}
        with pytest.raises(NodeError) as caught:
            run(call, "generic.github.issue", **config)
    assert caught.value.code == "HttpStatus"


def test_statements_change_a_database_and_queries_read_it(
    call: WorkingCall, tmp_path: Path
) -> None:
    file = tmp_path / "shop.sqlite"
    with sqlite3.connect(file) as made:
        made.execute("create table orders (id integer, total numeric, note text, data blob)")
    made.close()
    url = f"sqlite:///{file}"
    insert = "insert into orders values (:id, :total, :note, null)"
    values = {"id": 7, "total": 12.5, "note": "'; drop table orders"}
    done = run(call, "generic.sql.query", database=url, query=insert, values=values)
    assert done == {"rows": [], "count": 1}
    found = run(call, "generic.sql.query", database=url, query="select * from orders")
    assert found == {"rows": [{**values, "data": None}], "count": 1}


def test_a_statement_that_fails_changes_nothing_and_says_why(
    call: WorkingCall, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    with pytest.raises(NodeError) as caught:
        run(call, "generic.sql.query", database=url, query="select * from absent")
    assert caught.value.code == "SqlError"
    assert "no such table: absent" in caught.value.message
    three = "select 1 as n union select 2 union select 3"
    with pytest.raises(NodeError) as caught:
        run(call, "generic.sql.query", database=url, query=three, at_most=2)
    assert caught.value.code == "TooManyRows"
    with pytest.raises(NodeError) as caught:
        run(call, "generic.sql.query", database="user:password-canary", query="select 1")
    assert caught.value.code == "InvalidConfig"
    assert "canary" not in caught.value.message


def test_only_queries_are_asked_again_and_deletions_are_destructive() -> None:
    node_type = catalogue().get("generic.sql.query")
    assert node_type is not None
    assert node_type.repeat_for({"query": "\n SELECT * FROM orders"}) is Repeat.READ
    assert node_type.repeat_for({"query": "select * into b from a"}) is Repeat.ASK
    assert node_type.repeat_for({"query": "{{ params.query }}"}) is Repeat.ASK
    assert node_type.destructive_for({"query": "delete from orders"})
    assert node_type.destructive_for({"query": "select 1"}) is None
