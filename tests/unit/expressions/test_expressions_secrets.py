"""Secrets in expressions."""

from __future__ import annotations

import pytest

from cloudflow_dagster.expressions import ExpressionError, render

APART = "($f := function($x){ $x }; $f({}))"
"""Makes an expression that is evaluated in a worker."""


class NoSecretError(Exception):
    pass


def secret(name: str) -> str:
    if name == "missing":
        raise NoSecretError(name)
    return f"value-of-{name}"


def apart(source: str) -> str:
    return "{{ " + APART.replace("{}", source) + " }}"


def test_a_secret_is_fetched_when_it_is_read() -> None:
    assert render("{{ $secret('a') }}", {}, secret) == "value-of-a"
    assert render("Bearer {{ $secret('a') }}", {}, secret) == "Bearer value-of-a"
    assert render("{{ 'x' & $secret('a') & $secret('b') }}", {}, secret) == "xvalue-of-avalue-of-b"
    assert render(apart("$secret('a') & $secret('b')"), {}, secret) == "value-of-avalue-of-b"


def test_a_secret_in_a_branch_not_taken_is_not_fetched() -> None:
    assert render("{{ true ? 1 : $secret('missing') }}", {}, secret) == 1
    assert render(apart("true ? 1 : $secret('missing')"), {}, secret) == 1


def test_what_the_secret_store_raises_comes_through() -> None:
    for text in ("{{ $secret('missing') }}", "{{ 'x' & $secret('missing') }}"):
        with pytest.raises(NoSecretError):
            render(text, {}, secret)
    with pytest.raises(NoSecretError):
        render(apart("$secret('missing')"), {}, secret)
    assert render(apart("$secret('a')"), {}, secret) == "value-of-a"


def test_without_secrets_reading_one_is_an_error() -> None:
    for text in ("{{ $secret('a') }}", "{{ 'x' & $secret('a') }}", apart("$secret('a')")):
        with pytest.raises(ExpressionError) as caught:
            render(text, {})
        assert caught.value.code == "Secret"


def test_a_name_that_is_no_literal_is_refused_before_anything_is_fetched() -> None:
    asked: list[str] = []
    for source in ("$secret(params.x)", "$map(['a'], $secret)", "($s := $secret; $s('a'))"):
        with pytest.raises(ExpressionError) as caught:
            render("{{ " + source + " }}", {"params": {"x": "a"}}, lambda n: asked.append(n) or n)
        assert caught.value.code == "Secret"
    assert asked == []


def test_an_error_message_never_holds_a_secret() -> None:
    for text in ("{{ $number($secret('a')) }}", apart("$number($secret('a'))")):
        with pytest.raises(ExpressionError) as caught:
            render(text, {}, secret)
        assert "value-of" not in str(caught.value)
        assert "value-of" not in caught.value.message
        assert "***" in caught.value.message
        assert caught.value.__cause__ is None
