"""Whatever stands in a config string: an error of ours, or a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloudflow_dagster.expressions import (
    ABSENT,
    Expression,
    ExpressionError,
    parse_template,
    render,
)

PIECES = [
    "{{", "}}", "{", "}", "[", "]", "(", ")", "'", '"', "`", "/", "/*", "*/", "\\", "$", "$$", "%",
    "*", "**", "..", ".", ",", ":", ":=", ";", "?", "?:", "??", "~>", "|", "@", "#", "^", "<", ">",
    "=", "!=", "+", "-", "&", " and ", " or ", " in ", "nodes", "params", "item", "$item", "$x",
    "$sum", "$map", "function", "($v)", "$v", "0", "1", "1.5", "1e3", "true", "null", "'a'", " ",
    "\n", "ä", "😀", "\u2028", "\x00", "a", "$secret('s')", "[0]", "$string", "/a/", "$pad",
]  # fmt: skip
soup = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
SCOPE: dict[str, Any] = {
    "nodes": {"a": {"b": [1, {"a": 2}]}},
    "params": {"a": "x", "n": None},
    "item": [1, "a", {"a": [3]}],
}

operand = st.sampled_from(
    ["nodes", "params.a", "item", "$item", "$", "1", "'a'", "null", "a", "*", "nodes.a.b", "$v"]
)


def grown(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(
        [" + ", " & ", " = ", ".", " and ", " in ", " ~> ", " ?? ", " ?: ", " < ", "/", "%", "*"]
    )
    functions = st.sampled_from(
        ["$map", "$sum", "$string", "$filter", "$count", "$keys", "$lookup", "$reduce", "$sort"]
    )
    return st.one_of(
        st.tuples(part, operators, part).map("".join),
        st.tuples(part, part).map(lambda p: f"({p[0]})[{p[1]}]"),
        st.tuples(part, part).map(lambda p: f"({p[0]}).({p[1]})"),
        st.tuples(part, part).map(lambda p: f"({p[0]}).{{'k': {p[1]}, 'l': $}}"),
        st.tuples(part, part).map(lambda p: f"($v := {p[0]}; {p[1]})"),
        st.tuples(part, part, part).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
        st.tuples(functions, part, part).map(lambda p: f"{p[0]}({p[1]}, function($v){{ {p[2]} }})"),
        st.tuples(functions, part).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(part, part).map(lambda p: f"[{p[0]}, {p[1]}]"),
        part.map(lambda p: f"({p})^(a)"),
        part.map(lambda p: f"-({p})"),
    )


valid = st.recursive(operand, grown, max_leaves=10)


def outcome(run: Callable[[], Any]) -> Any:
    """Return what comes out, or the error; any other error fails the test."""
    try:
        return run()
    except ExpressionError as error:
        return error


@settings(max_examples=1500, deadline=None)
@given(soup | st.text())
@example("{{ $x := $x }}")
@example("{{'\\ud800'}}")
def test_any_text_is_read_or_refused(text: str) -> None:
    template = outcome(lambda: parse_template(text))
    if isinstance(template, ExpressionError):
        assert 0 <= template.offset <= len(text)
        assert template.message
        return
    written = "".join(
        "{{" + part.source + "}}" if isinstance(part, Expression) else part
        for part in template.parts
    )
    assert written == text
    for part in template.expressions:
        assert text[part.offset :].startswith(part.source)
        for read in part.reads:
            assert part.offset <= read.offset < part.offset + len(part.source)


@settings(max_examples=400, deadline=None)
@given(soup.map(lambda text: "{{" + text + "}}"))
def test_any_text_is_evaluated_or_refused(text: str) -> None:
    give_json(text)


@settings(max_examples=600, deadline=None)
@given(valid)
def test_any_expression_is_evaluated_or_refused(source: str) -> None:
    give_json("{{ " + source + " }}")


def give_json(text: str) -> None:
    value = outcome(lambda: render(text, SCOPE, lambda name: name))
    if isinstance(value, ExpressionError):
        assert 0 <= value.offset <= len(text)
    elif value is not ABSENT:
        json.dumps(value, allow_nan=False)
