"""Where an expression ends, and where it is wrong."""

from __future__ import annotations

import pytest

from cloudflow_dagster.expressions import (
    ABSENT,
    Expression,
    ExpressionError,
    has_expression,
    parse_template,
    render,
)


def sources(text: str) -> list[str]:
    return [
        part.source if isinstance(part, Expression) else f"text:{part}"
        for part in parse_template(text).parts
    ]


def failure(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse_template(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain } }} { text", ["text:plain } }} { text"]),
        ("{{ a }}", [" a "]),
        ("a{{b}}c{{d}}", ["text:a", "b", "text:c", "d"]),
        ("{{a}}{{b}}", ["a", "b"]),
        ('{{ {"a": {"b": 1}} }}', [' {"a": {"b": 1}} ']),
        ('{{{"a": {"b": 1}}}}', ['{"a": {"b": 1}}']),
        ("{{ '}}' }}", [" '}}' "]),
        ("{{ '{{' }}", [" '{{' "]),
        ('{{ "\\"}}" }}', [' "\\"}}" ']),
        ("{{ `}}` }}", [" `}}` "]),
        ("{{ /* }} */ 1 }}", [" /* }} */ 1 "]),
        ("{{ /* }} */ a /**/ . b /* */}}", [" /* }} */ a /**/ . b /* */"]),
        ("{{ $match('a', /}}/) }}", [" $match('a', /}}/) "]),
        ("{{ $match('a', /{{}}\\//) }}", None),
        ("{{ a / 2 / 3 }}", [" a / 2 / 3 "]),
        ("{{ (1) / 2 }}{{ a[0] /2/ 1 }}", [" (1) / 2 ", " a[0] /2/ 1 "]),
        ("{{ {'a': 1}{'b': 2} }}", [" {'a': 1}{'b': 2} "]),
        ("{{ function($x){ {'a': $x} }(1) }}", [" function($x){ {'a': $x} }(1) "]),
        ("a }} {{ 1 }} }}", ["text:a }} ", " 1 ", "text: }}"]),
    ],
)
def test_the_end_of_an_expression_is_found_by_its_tokens(
    text: str, parts: list[str] | None
) -> None:
    if parts is None:  # read to its end, and then refused by the engine
        assert failure(text).code == "Syntax"
    else:
        assert sources(text) == parts


def test_a_regular_expression_may_hold_closing_braces() -> None:
    assert sources("{{ $contains('a', /^a{1,2}$/) }}") == [" $contains('a', /^a{1,2}$/) "]
    assert render("{{ $contains('a', /^(a{1}){1,2}$/) }}", {}) is True


def test_only_a_string_that_is_one_expression_is_whole() -> None:
    assert parse_template("{{ 1 }}").whole is not None
    assert parse_template(" {{ 1 }}").whole is None
    assert parse_template("{{ 1 }}{{ 2 }}").whole is None
    assert parse_template("text").whole is None


def test_offsets_count_in_the_config_string() -> None:
    first, second = parse_template("ab {{ nodes.a }} {{ $nodes.b.c }}").expressions
    assert (first.offset, second.offset) == (5, 19)
    assert [(r.path, r.offset, r.offsets) for r in first.reads] == [(("a",), 6, (12,))]
    assert [(r.path, r.offset, r.offsets) for r in second.reads] == [(("b", "c"), 20, (27, 29))]


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("ab {{ 1", 3, "This `{{` has no `}}`. A literal `{{` is written `{{ '{{' }}`."),
        ("{{ (1 }}", 6, "Expected `)` for the `(` before, found `}`."),
        ("{{ (1", 3, "This `(` is never closed."),
        ("{{ 'a }}", 3, "This string has no closing '"),
        ('{{ "a }}', 3, 'This string has no closing "'),
        ("{{ `a }}", 3, "This backquote has no partner."),
        ("{{ /* a }}", 3, "This comment has no `*/`."),
        ("{{ /a }}", 3, "This regular expression has no closing `/`."),
        ("{{ }}", 3, "There is no expression here."),
        ("{{}}", 2, "There is no expression here."),
        ("x{{ a b }}", 6, "Expected an operator or the end of the expression, found `b`."),
        ("{{ a + }}", 7, "Expected a value, found the end of the expression."),
        ("{{ a + * + ) }}", 11, "This `)` closes nothing."),
        ("{{ a } }}", 5, "This `}` closes nothing."),
        ("{{ [1, 2) }}", 8, "Expected `]` for the `[` before, found `)`."),
        ("{{ 1e999 }}", 3, "This number is too large."),
        (r"{{ 'a\q' }}", 5, r"`\q` is no escape sequence. A backslash is written `\\`."),
        (r"{{ 'it\'s' }}", 6, r"`\'` is no escape sequence. A backslash is written `\\`."),
        (r"{{ 'a\u12' }}", 5, r"`\u` needs four hexadecimal digits."),
        ("{{ 1 := 2 }}", 3, "To the left of `:=` stands a variable such as `$total`."),
        ("{{ function(a){1} }}", 12, "A function's parameter is a variable such as `$x`."),
        ("{{ {'a' 1} }}", 8, "Expected `:`, found `1`."),
        ("{{ a.b@c }}", 7, "After `@` comes a variable such as `$i`."),
        ("{{ a[1]@$x }}", 2, None),
        ("{{ % }}", 2, None),
        (
            "{{ $match('a', /(?=b)/) }}",
            15,
            "This regular expression cannot be used. Look-around and back references do not exist"
            " here.",
        ),
    ],
)
def test_a_syntax_error_says_what_is_wrong_and_where(
    text: str, offset: int, message: str | None
) -> None:
    error = failure(text)
    assert error.code == "Syntax"
    assert error.offset == offset
    if message is not None:
        assert error.message.rstrip(".") == message.rstrip(".")
    assert error.message.endswith((".", "'", '"'))


def test_what_is_nested_too_deep_is_an_error() -> None:
    deep = "(" * 90 + "1" + ")" * 90
    assert render("{{" + deep + "}}", {}) == 1
    for text in ("(" * 5000 + "1" + ")" * 5000, "[" * 101 + "]" * 101, "-" * 101 + "1"):
        assert failure("{{" + text + "}}").code == "TooDeep"
    assert failure("{{" + "+".join(["1"] * 5000) + "}}").code == "TooDeep"


def test_a_text_with_expressions_has_a_largest_length() -> None:
    assert failure("{{ 1 }}" + "x" * 100_000).code == "TooLarge"
    assert parse_template("x" * 100_001).parts == ("x" * 100_001,)


def test_has_expression_is_true_where_something_would_be_evaluated() -> None:
    assert has_expression("a {{ 1 }}")
    assert not has_expression("a { 1 } }}")


def test_a_template_is_parsed_once() -> None:
    assert parse_template("{{ nodes.cached }}") is parse_template("{{ nodes.cached }}")


def test_escapes_and_pairs_of_surrogates_in_strings() -> None:
    assert render(r"{{ 'a\n\u00e4\ud83d\ude00' }}", {}) == "a\nä😀"
    assert render(r"{{ params.'\ud83d\ude00' }}", {"params": {"😀": 1}}) == 1
    assert render("{{ params.`a b` }}", {"params": {"a b": 1}}) == 1
    assert render("{{ params.or }}", {"params": {"or": 1}}) == 1
    assert render("{{ params.missing }}", {"params": {}}) is ABSENT
