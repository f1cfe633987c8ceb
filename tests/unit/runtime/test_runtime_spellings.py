"""Secrets are recognised however a text spells them, and nothing else is."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from cloudflow_dagster.runtime.redaction import MARK, Redactor
from tests.fixtures.beside_sqlite import contents_of_all
from tests.fixtures.canaries import Canary, Search, hatch
from tests.fixtures.echoes import TEXTS

AROUND = {
    "plain": ("", ""),
    "key": ("sk_live_", ""),
    "base64": ("abc/+", "=="),
    "awkward": ("k4n/ar+y \"v3rt\\&<geheim>é' ", " %41=%?#;,😀"),
    "braces": ("pa$$:w0rd{{", "}}\\/+="),
    "blanks": ("'quoted' ", "\ttab & \f <tag>"),
}


def hidden(canary: Canary, *also: str) -> Redactor:
    redactor = Redactor()
    for secret in (*also, canary.value):
        redactor.add(secret)
    return redactor


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("around", AROUND)
def test_a_secret_is_found_in_every_spelling(form: str, around: str) -> None:
    canary = hatch("canary", *AROUND[around])
    search, redactor = Search([canary]), hidden(canary)
    for before, after in (("", ""), ("user:", ' "x"'), ("\\n\n", "\n\\n"), ("é" * 3, "é")):
        text = TEXTS[form](before + canary.value + after)
        assert search.text(text) or "lines" in form, "the text to be redacted holds no secret"
        shown = redactor.text(text)
        assert not search.text(shown)
        assert MARK in shown
        carried = json.dumps({"a": [text, 1], "b": "kept"})
        assert not search.text(redactor.json_text(carried))
        assert json.loads(redactor.json_text(carried))["b"] == "kept"


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_around_stays(around: str) -> None:
    canary = hatch("canary", *AROUND[around])
    redactor = hidden(canary)
    assert redactor.text(f"before {canary.value} after") == f"before {MARK} after"
    assert redactor.text(f'{{"a":{json.dumps(canary.value)}}}') == f'{{"a":"{MARK}"}}'
    part = canary.value[:-3]
    assert redactor.text(part) == part


def test_short_secrets_are_found_in_their_own_case_alone() -> None:
    redactor = Redactor()
    redactor.add("Test1")
    assert redactor.text("Test1 test1 TEST1") == f"{MARK} test1 TEST1"


def test_a_secret_without_letters_and_digits_is_found() -> None:
    redactor = Redactor()
    redactor.add("!?-_;:-)")
    assert redactor.text("a %21%3F-_;:-) b !?-_;:-)") == f"a {MARK} b {MARK}"


def test_a_long_secret_is_found_in_parts() -> None:
    canary = hatch("canary", secrets.token_urlsafe(300), secrets.token_urlsafe(300))
    redactor, search = hidden(canary), Search([canary])
    for form in ("plain", "base64_lines", "hex", "json_in_json"):
        shown = redactor.text(f"a {TEXTS[form](canary.value)} b")
        assert not search.text(shown)
    assert redactor.text(f"a {canary.value} b") == f"a {MARK} b"
    assert MARK in redactor.text(canary.value[200:700])


def test_sensitive_members_of_a_json_object_are_secrets_of_their_own() -> None:
    secret = {
        "engine": "postgresql",
        "password": "correct-horse",
        "nested": [{"private_key": "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n"}],
        "token": 12,
    }
    redactor = Redactor()
    redactor.add(json.dumps(secret))
    shown = redactor.text("postgresql correct-horse MIIEvQIBADAN BgkqhkiG9w0B 12")
    assert shown == f"postgresql {MARK} {MARK} {MARK} 12"


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 50_000,
        '"' + "\\" * 50_000 + '"',
        "\n" * 50_000,
        "\\n " * 50_000,
        "&amp;" * 20_000,
        "%25" * 20_000,
        "&#0000" * 20_000,
        "a" * 50_000,
        "😀é" * 20_000,
    ],
)
def test_no_text_makes_the_search_slow(text: str) -> None:
    """A pattern that looks again and again at the same run would take minutes for these."""
    canary = hatch("canary", '"""\\\\\n  \'', "\\\\\n\n&&%%")
    redactor, search = hidden(canary, 'a"b\\', "\n\n\n\n1", "&amp%25"), Search([canary])
    for whole in (text, text + canary.value, canary.value + text, text + canary.marker):
        shown = redactor.text(whole)
        assert bool(search.text(shown)) == whole.endswith(text + canary.marker)


class TestStreams:
    @pytest.mark.parametrize("size", [1, 7, 1000, 16_384, 10**6])
    def test_a_secret_on_the_border_of_two_chunks_is_found(self, size: int) -> None:
        canary = hatch("canary", "é/", "😀")
        data = ("x" * 20_000 + canary.value + "ü" * 15_000 + f"{canary.value}\n" * 3_000).encode()
        if size < 1000:
            data = data[19_000:36_000]
        chunks = (data[n : n + size] for n in range(0, len(data), size))
        assert b"".join(hidden(canary).stream(chunks)) == data.replace(
            canary.value.encode(), MARK.encode()
        )

    def test_what_holds_no_secret_goes_through_unchanged(self) -> None:
        data = secrets.token_bytes(100_000)
        chunks = (data[n : n + 999] for n in range(0, len(data), 999))
        assert b"".join(hidden(hatch("canary")).stream(chunks)) == data
        assert b"".join(Redactor().stream([data])) == data
        assert list(Redactor().stream([])) == []

    def test_it_is_found_in_bytes_that_are_no_text(self) -> None:
        canary = hatch("canary", "é")
        data = b"\xff\xfe\x00" + canary.value.encode() + b"\xff"
        assert b"".join(hidden(canary).stream([data])) == b"\xff\xfe\x00***\xff"


class TestWhatExpressionsMakeOfSecrets:
    """What is computed from a secret is one."""

    def test_a_part_of_a_secret_is_hidden(
        self, stage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PAIR", "somebody:Correct-Horse-9")
        (stage.folder / "cloudflow.yaml").write_text("secrets:\n  pair:\n    env: PAIR\n")
        stage.on["a"] = lambda call, config: config
        expressions = {
            "whole": "{{ $substringAfter($secret('pair'), ':') }}",
            "text": "Password: {{ $split($secret('pair'), ':')[1] }}!",
            "list": "{{ $split($secret('pair'), ':') }}",
            "word": "{{ $contains($secret('pair'), ':') ? 'with a name' : 'without' }}",
        }
        played = stage.flow({"id": "a", "config": expressions})
        assert played.output("a") == {
            "whole": MARK,
            "text": f"Password: {MARK}!",
            "list": [MARK, MARK],
            "word": "with a name",
        }
        stored = contents_of_all(stage.folder, "records.sqlite*")
        assert b"Horse" not in stored
