from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudflow_dagster.diagnostics import (
    Diagnostic,
    Diagnostics,
    FlowError,
    Location,
    Pointer,
    Rule,
    Severity,
    did_you_mean,
)
from cloudflow_dagster.diagnostics.render import WIDEST_LINE, as_json, as_text
from cloudflow_dagster.diagnostics.sarif import as_sarif
from cloudflow_dagster.diagnostics.wording import printable, shortened, shown

FILE = "flows/a.json"
RULE = Rule("CF0001", "Something is wrong", "Explained.", "wrong", "right")


def diagnostic(line: int | None = 1, column: int | None = 1, **changes: Any) -> Diagnostic:
    values: dict[str, Any] = {
        "code": "CF0001",
        "message": "Wrong.",
        "at": Location(FILE, Pointer(("nodes", 0)), "start"),
        "line": line,
        "column": column,
    }
    return Diagnostic(**values | changes)


def excerpt(text: str, line: int, column: int, **changes: Any) -> list[str]:
    """The line with the text and the one with the carets, without their margins."""
    said = as_text([diagnostic(line, column, **changes)], {FILE: text}).split("\n")
    return [shown.split("|", 1)[1].removeprefix(" ") for shown in said[1:3]]


def test_a_diagnostic_shows_its_line_and_what_to_do() -> None:
    text = as_text(
        [diagnostic(2, 9, suggestion="Write 1."), diagnostic(1, 1, severity=Severity.WARNING)],
        {FILE: '{\n  "a":  "b"\n}'},
    )
    assert text == (
        "flows/a.json:2:9: error CF0001: Wrong.\n"
        '  2 |   "a":  "b"\n'
        "    |         ^^^\n"
        "    = Write 1.\n"
        "\n"
        "flows/a.json:1:1: warning CF0001: Wrong.\n"
        "  1 | {\n"
        "    | ^\n"
    )


def test_a_diagnostic_without_a_line_or_a_text_shows_what_there_is() -> None:
    assert as_text([diagnostic(None, None)], {}) == "flows/a.json: error CF0001: Wrong.\n"
    assert as_text([diagnostic(9, 4)], {FILE: "{}"}) == "flows/a.json:9:4: error CF0001: Wrong.\n"
    assert as_text([], {}) == ""


@pytest.mark.parametrize(
    ("line", "column", "carets"),
    [
        ('{"key": 12.5, "b": true}', 2, " ^^^^^"),
        ('{"key": 12.5, "b": true}', 9, "        ^^^^"),
        ('{"key": 12.5, "b": true}', 20, "                   ^^^^"),
        ('{"a\\"b": {}}', 2, " ^^^^^^"),
        ('{"a": {}}', 7, "      ^"),
        ('{"a": "not closed', 7, "      ^"),
        ('{"a": 1', 99, "       ^"),
    ],
)
def test_the_whole_value_or_key_is_underlined(line: str, column: int, carets: str) -> None:
    assert excerpt(line, 1, column) == [line, carets]


def test_a_place_inside_a_text_is_one_character() -> None:
    at = Location(FILE, Pointer(("a",)), offset=3)
    assert excerpt('{"a": "{{ nodes.x }}"}', 1, 11, at=at)[1] == " " * 10 + "^"


def test_the_caret_stands_right_below_tabs_wide_and_combining_characters() -> None:
    shown, carets = excerpt('\t"日本": "e\u0301🚀", "x": 1', 1, 15)
    assert shown == '    "日本": "e\u0301🚀", "x": 1'
    # 4 for the tab, 6 for the key, 9 for the rest (the rocket takes two)
    assert carets == " " * 19 + "^^^"


@pytest.mark.parametrize("column", [1, 30, 100, 101, 150, 199, 500, 950, 1000])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    line = "".join(chr(ord("a") + n % 26) if n % 10 else "," for n in range(1_000))
    at = Location(FILE, offset=0)
    shown, carets = excerpt(line, 1, column, at=at)
    assert len(shown) <= WIDEST_LINE + 2
    assert shown[len(carets) - 1] == line[column - 1]
    assert shown.startswith("…") == (not line.startswith(shown[:50]))
    assert shown.endswith("…") == (not line.endswith(shown[-50:]))


def test_a_line_that_fits_is_shown_whole() -> None:
    line = "[" + "1, " * 32 + "1]"
    assert excerpt(line, 1, len(line) - 1)[0] == line


def test_nothing_of_a_flow_reaches_the_terminal_as_a_command() -> None:
    evil = "\x1b\x9b\x07\r\u202e\u2028"
    text = as_text(
        [diagnostic(message=evil, suggestion=evil, at=Location(evil))], {evil: f'["{evil}"]'}
    )
    assert not set(evil) & set(text)
    assert printable("a\udc80\u2066b") == "a\ufffd\ufffdb"


def test_colours_are_there_when_asked_for() -> None:
    sources = {FILE: "{}"}
    plain, coloured = (as_text([diagnostic()], sources, color) for color in (False, True))
    assert "\x1b[31m" in coloured
    assert "\x1b" not in plain


def test_json_has_exactly_the_names_of_the_format() -> None:
    found = [diagnostic(3, 4, suggestion="Do.", message='Ü "x".'), diagnostic(None, None)]
    assert json.loads(as_json(found)) == [
        {
            "severity": "error",
            "code": "CF0001",
            "file": FILE,
            "pointer": "/nodes/0",
            "line": 3,
            "column": 4,
            "node": "start",
            "message": 'Ü "x".',
            "suggestion": "Do.",
        },
        {
            "severity": "error",
            "code": "CF0001",
            "file": FILE,
            "pointer": "/nodes/0",
            "line": None,
            "column": None,
            "node": "start",
            "message": "Wrong.",
            "suggestion": None,
        },
    ]
    assert list(json.loads(as_json(found))[0]) == [
        *("severity", "code", "file", "pointer", "line", "column", "node", "message"),
        "suggestion",
    ]
    assert json.loads(as_json([])) == []


def test_sarif_names_its_rules_and_places() -> None:
    at = Location("flows/a b#ü.json", Pointer(("a~/b",)))
    found = [diagnostic(3, 4, at=at, suggestion="Do."), diagnostic(None, None, code="CF9999")]
    log = json.loads(as_sarif(found, [RULE]))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["tool"]["driver"]["name"] == "CloudFlow"
    [rule] = run["tool"]["driver"]["rules"]
    assert rule["id"] == "CF0001"
    assert rule["shortDescription"] == {"text": "Something is wrong."}
    assert rule["defaultConfiguration"] == {"level": "error"}
    first, second = run["results"]
    assert first["ruleId"] == "CF0001"
    assert first["ruleIndex"] == 0
    assert first["level"] == "error"
    assert first["message"] == {"text": "Wrong. Do."}
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "flows/a%20b%23%C3%BC.json"},
                "region": {"startLine": 3, "startColumn": 4},
            },
            "logicalLocations": [{"fullyQualifiedName": "/a~0~1b"}],
        }
    ]
    assert "ruleIndex" not in second
    assert "region" not in second["locations"][0]["physicalLocation"]


def test_sarif_gives_an_absolute_path_as_a_file_address() -> None:
    log = json.loads(as_sarif([diagnostic(at=Location("/tmp/a.json"))], []))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "file:///tmp/a.json"


def test_a_finding_that_only_moved_keeps_its_fingerprint() -> None:
    def fingerprint(found: Diagnostic) -> str:
        log = json.loads(as_sarif([found], []))
        return log["runs"][0]["results"][0]["partialFingerprints"]["cloudflow/v1"]

    assert fingerprint(diagnostic(1, 1)) == fingerprint(diagnostic(7, 3))
    assert fingerprint(diagnostic()) != fingerprint(diagnostic(message="Other."))


@given(st.text(max_size=60), st.integers(1, 5), st.integers(1, 80), st.text(max_size=20))
def test_any_text_and_place_can_be_shown(text: str, line: int, column: int, said: str) -> None:
    found = [diagnostic(line, column, message=said, suggestion=said)]
    shown = as_text(found, {FILE: text})
    assert shown.endswith("\n")
    shown.encode()
    json.loads(as_json(found))
    json.loads(as_sarif(found, [RULE]))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (10**4_000, "a very long number"),
        (1.5, "1.5"),
        ("a\nb", '"a b"'),
        ("x" * 99, f'"{"x" * 59}…"'),
        ({}, "an empty object"),
        ({"a": 1}, "an object"),
        ([], "an empty list"),
        ([1], "a list"),
    ],
)
def test_values_are_quoted_briefly(value: Any, words: str) -> None:
    assert shown(value) == words


def test_a_text_is_shortened_to_one_line() -> None:
    assert shortened("a\n  b", 10) == "a b"
    assert shortened("abcdef", 4) == "abc…"


def test_pointers_are_written_as_rfc_6901_says() -> None:
    pointer = Pointer() / "nodes" / 0 / "a/b~c"
    assert str(pointer) == "/nodes/0/a~1b~0c"
    assert str(Pointer()) == ""


def test_a_location_of_a_child_has_no_offset_and_is_no_key() -> None:
    at = Location(FILE, Pointer(("a",)), "n", offset=3, on_key=True).at("b", 1)
    assert at == Location(FILE, Pointer(("a", "b", 1)), "n")


def test_only_errors_fail() -> None:
    found = Diagnostics()
    warning = Rule("CF0002", "t", "e", "w", "r", Severity.WARNING)
    found.add(warning, Location(FILE), "Careful.")
    found.raise_if_failed()
    assert not found.failed
    found.add(RULE, Location(FILE), "Wrong.", "Do.")
    assert found.failed
    with pytest.raises(FlowError) as raised:
        found.raise_if_failed()
    assert len(raised.value.diagnostics) == 2
    assert str(raised.value) == (
        "flows/a.json:1:1: CF0002 Careful.\nflows/a.json:1:1: CF0001 Wrong."
    )


def test_did_you_mean_finds_what_is_close_and_nothing_else() -> None:
    assert did_you_mean("confg", ["config", "credential"]) == "Did you mean `config`?"
    assert did_you_mean("zzz", ["config", "credential"]) is None
    assert did_you_mean("c" * 5_000_000, ["c" * 200]) is None
