"""No secret is ever stored, logged or shown."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.runtime.redaction import MARK, Redactor
from tests.fixtures.beside_sqlite import contents_of_all

CANARY = "k4n/ar+y \"v3rt\\&<geheim>é'"


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.add(CANARY)
    return made


FORMS = {
    "plain": CANARY,
    "url": quote(CANARY, safe=""),
    "url, slashes kept": quote(CANARY),
    "url, lower case": re.sub(r"%..", lambda found: found[0].lower(), quote(CANARY, safe="")),
    "form": quote_plus(CANARY),
    "json": json.dumps(CANARY),
    "json, unicode kept": json.dumps(CANARY, ensure_ascii=False),
    "json in json": json.dumps(json.dumps({"x": CANARY})),
    "html": html.escape(CANARY),
    "python": repr({"x": CANARY}),
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64, url": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    "hex": CANARY.encode().hex(),
    **{
        f"basic authentication of {user}": base64.b64encode(f"{user}:{CANARY}".encode()).decode()
        for user in ("a", "bob", "al", "alice")
    },
    **{
        f"base64 with {n} before and after": base64.b64encode(
            b"x" * n + CANARY.encode() + b"y" * n
        ).decode()
        for n in range(5)
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_hidden(redactor: Redactor, form: str) -> None:
    text = redactor.text(f"before {FORMS[form]} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert MARK in text
    left = text.removeprefix("before ").removesuffix(" after").replace(MARK, "")
    # Of base64 the characters that also hold bits of the neighbours may be left.
    assert len(left) <= 16 or form.startswith("json in json")
    for piece in (CANARY[:6], CANARY[-6:], base64.b64encode(CANARY.encode()).decode()[4:12]):
        assert piece not in text


def test_values_are_hidden_wherever_they_stand(redactor: Redactor) -> None:
    value = {
        CANARY: 1,
        "list": [f"x{CANARY}y", {"deep": CANARY}],
        "clean": {"n": 1, "t": "text", "none": None, "b": True},
    }
    hidden = redactor.value(value)
    assert hidden == {
        MARK: 1,
        "list": [f"x{MARK}y", {"deep": MARK}],
        "clean": {"n": 1, "t": "text", "none": None, "b": True},
    }
    assert hidden["clean"] is value["clean"]


def test_clean_values_are_not_copied(redactor: Redactor) -> None:
    value = {"a": [1, "x", {"y": None}]}
    assert redactor.value(value) is value
    text = json.dumps(value)
    assert redactor.json_text(text) is text


def test_json_text_stays_json(redactor: Redactor) -> None:
    redactor.add('","')
    redactor.add("12345")
    text = json.dumps({"a": CANARY, "n": 12345, "big": 2**80, "list": ["a", "b"]})
    assert json.loads(redactor.json_text(text)) == {
        "a": MARK,
        "n": MARK,
        "big": 2**80,
        "list": ["a", "b"],
    }


def test_each_line_of_a_secret_with_several_is_one() -> None:
    redactor = Redactor()
    redactor.add("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\n  hkiG9w0BAQEFAASC\n-----END KEY-----\n")
    text = redactor.text("MIIEvQIBADANBgkq and hkiG9w0BAQEFAASC -----BEGIN KEY-----")
    assert text == f"{MARK} and {MARK} -----BEGIN KEY-----"


def test_short_secrets_are_hidden_only_as_a_whole() -> None:
    redactor = Redactor()
    for short in ("no", "", "7"):
        redactor.add(short)
    assert redactor.value({"a": "no", "b": "note", "c": 7, "d": 77}) == {
        "a": MARK,
        "b": "note",
        "c": MARK,
        "d": 77,
    }
    assert redactor.json_text('{"a":"no"}') == '{"a":"***"}'
    assert redactor.text("no problem") == "no problem"


def test_the_longer_of_two_secrets_goes_first() -> None:
    redactor = Redactor()
    redactor.add("abcd")
    redactor.add("abcd-and-more")
    assert redactor.text("abcd-and-more abcd") == f"{MARK} {MARK}"


class TestRuns:
    """Canaries in whole runs: every byte that was stored is searched."""

    @pytest.fixture
    def canary(self, stage: Any, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("CANARY", CANARY)
        text = "secrets:\n  canary:\n    env: CANARY\n"
        (stage.folder / "cloudflow.yaml").write_text(text)
        return CANARY

    def search(self, folder: Path, played: Any) -> None:
        pieces = [form.strip('"') for name, form in FORMS.items() if "with" not in name]
        stored = contents_of_all(folder, "records.sqlite*")
        seen = (
            played.log.text
            + json.dumps(played.summary)
            + json.dumps(played.summary, ensure_ascii=False)
        )
        for piece in (*pieces, CANARY[:10]):
            assert piece.encode() not in stored
            assert piece not in seen

    def test_a_secret_reaches_the_handler_and_nothing_else(self, stage: Any, canary: str) -> None:
        def echo(call: Any, config: dict[str, Any]) -> Any:
            assert config["password"] == canary
            call.log.info(f"sending {config}")
            return {"you sent": config["password"], "as": config["header"], config["password"]: 1}

        def refuse(call: Any, config: dict[str, Any]) -> Any:
            raise NodeError("Denied", f"Bad password {canary}", provider_request_id=canary)

        def crash(call: Any, config: dict[str, Any]) -> Any:
            raise ValueError(f"cannot use {config['password']!r}")

        config = {
            "password": "{{ $secret('canary') }}",
            "header": "{{ 'Basic ' & $base64encode('user:' & $secret('canary')) }}",
        }
        stage.on |= {"ok": echo, "bad": refuse, "crash": crash, "item": crash}
        retry = {"max_attempts": 2, "delay": 0, "on": ["Denied"]}
        played = stage.flow(
            {"id": "ok", "config": config},
            {"id": "bad", "config": config, "retry": retry},
            {"id": "crash", "config": config, "timeout": 30},
            {"id": "next", "config": {"value": "{{ nodes.ok }}"}},
            {
                "id": "each",
                "type": "logic.loop",
                "config": {"items": "{{ [nodes.ok] }}", "on_item_error": "collect"},
            },
            {"id": "item", "config": config},
            edges=["ok -> next", "ok -> each", "each.item -> item"],
        )
        assert played.output("next")["you sent"] == MARK
        assert played.output("next")[MARK] == 1
        assert played.output("next")["as"] == MARK
        assert played.error("bad")["message"] == f"Bad password {MARK}"
        assert played.error("crash")["code"] == "ValueError"
        self.search(stage.folder, played)

    def test_secrets_are_not_allowed_where_the_output_would_carry_them(
        self, stage: Any, canary: str
    ) -> None:
        from cloudflow_dagster.plan import Plan

        data = stage.plan(
            {"id": "a", "type": "generic.transform", "config": {"value": 1}}
        ).model_dump()
        data["steps"][0]["config"] = {"value": "{{ $secret('canary') }}"}
        played = stage.play(Plan.model_validate(data))
        assert played.error("a")["code"] == "SecretNotAllowed"
        self.search(stage.folder, played)

    def test_what_a_handler_derives_can_be_hidden(self, stage: Any, canary: str) -> None:
        def work(call: Any, config: dict[str, Any]) -> Any:
            token = config["password"][::-1]
            call.hide(token)
            call.log.info(token)
            return {"token": token}

        stage.on["a"] = work
        played = stage.flow({"id": "a", "config": {"password": "{{ $secret('canary') }}"}})
        assert played.output("a") == {"token": MARK}
        assert canary[::-1] not in played.log.text

    def test_a_secret_of_an_earlier_step_is_hidden_when_the_run_is_resumed(
        self, stage: Any, canary: str
    ) -> None:
        """It was sent before; now it comes back in an answer."""
        stage.on["answer"] = lambda call, config: {"you sent before": canary}
        plan = stage.plan(
            {"id": "send", "config": {"password": "{{ $secret('canary') }}"}},
            {"id": "answer"},
            edges=["send -> answer"],
        )
        run = stage.run(plan, "resumed", [("r0", frozenset({"answer"}), True)])
        run.hide_known_secrets()
        from cloudflow_dagster.runtime.step import execute_step

        class Silent:
            def debug(self, message: str) -> None: ...
            def info(self, message: str) -> None: ...
            def warning(self, message: str) -> None: ...

        run.records.write(_key("send"), _record())
        done = execute_step(run, plan.step("answer"), 1, Silent())
        assert done.record.output == {"you sent before": MARK}

    def test_a_secret_that_cannot_be_read_is_an_error_with_a_way_out(self, stage: Any) -> None:
        (stage.folder / "cloudflow.yaml").write_text("secrets:\n  canary:\n    env: NOT_SET\n")
        played = stage.flow({"id": "a", "config": {"password": "{{ $secret('canary') }}"}})
        assert played.statuses["a"] == "failure"
        assert "NOT_SET" in played.error("a")["message"]

    def test_trigger_events_and_items_are_stored_without_secrets(
        self, stage: Any, canary: str
    ) -> None:
        plan = stage.plan(
            {"id": "start", "type": "trigger.manual"},
            {"id": "use", "config": {"password": "{{ $secret('canary') }}"}},
            edges=["start -> use"],
        )
        run = stage.run(plan, event=None)
        run.event = {"type": "trigger.manual", "time": "…", "payload": {"x": canary}}
        run.redactor.add(canary)
        from cloudflow_dagster.runtime.whole import run_plan

        run_plan(run, lambda *_: _Quiet())
        record = run.records.read(_key("start"))
        assert record.output["payload"] == {"x": MARK}


class _Quiet:
    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...


def _key(node: str) -> Any:
    from cloudflow_dagster.runtime.record import RecordKey

    return RecordKey(node)


def _record() -> Any:
    from cloudflow_dagster.runtime.record import Record

    return Record("success", None, has_output=True, ports=("out",))
