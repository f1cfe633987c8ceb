from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudflow_dagster.diagnostics import Diagnostics, Location, Pointer
from cloudflow_dagster.flow.document import Document, read_document
from cloudflow_dagster.flow.positions import Positions
from tests.unit.flow.written_flows import Writer, json_values, unhurried


def read(text: str) -> Document:
    return read_document(text, "a.json", Diagnostics())


def at(*parts: str | int, on_key: bool = False, offset: int | None = None) -> Location:
    return Location("a.json", Pointer(parts), on_key=on_key, offset=offset)


def counted(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@unhurried
@given(json_values, st.randoms(use_true_random=False))
def test_every_value_key_and_character_is_found_where_it_was_written(
    value: Any, random: Random
) -> None:
    writer = Writer(random)
    text = writer.write(value)
    document = read(text)
    for path, offset in writer.values.items():
        assert document.position(at(*path)) == counted(text, offset)
    for path, offset in writer.keys.items():
        assert document.position(at(*path, on_key=True)) == counted(text, offset)
    for path, places in writer.characters.items():
        for index, offset in enumerate(places):
            assert document.position(at(*path, offset=index)) == counted(text, offset)


def test_what_is_missing_is_placed_at_its_nearest_ancestor() -> None:
    document = read('{\n  "nodes": [\n    {"id": "a"}\n  ]\n}')
    assert document.position(at("nodes", 0, "type")) == (3, 5)
    assert document.position(at("nodes", 7, "type")) == (2, 12)
    assert document.position(at("nodes", "0")) == (2, 12)
    assert document.position(at("nodes", 0, "id", "deeper")) == (3, 12)
    assert document.position(at("edges", on_key=True)) == (1, 1)


def test_an_offset_past_the_end_of_a_text_is_its_closing_quote() -> None:
    assert read('["ab"]').position(at(0, offset=99)) == (1, 5)


def test_an_offset_into_what_is_no_text_is_the_value() -> None:
    assert read("[12]").position(at(0, offset=1)) == (1, 2)


def test_an_escaped_character_counts_once() -> None:
    text = r'["a\n\u00e9\ud83d\ude80\"b"]'
    places = [read(text).position(at(0, offset=n))[1] for n in range(7)]
    assert [text[column - 1] for column in places] == ["a", "\\", "\\", "\\", "\\", "b", '"']


def test_the_last_of_two_equal_keys_is_the_one_that_counts() -> None:
    document = read('{"a": 1, "a": 2}')
    assert document.data == {"a": 2}
    assert document.position(at("a")) == (1, 15)


def test_a_text_that_is_put_right_keeps_the_places_of_what_is_good_in_it() -> None:
    text = '{\'a\': NaN, // no\n "b": [1, 2,],\n "c": "\\ud800x"\n}'
    document = read(text)
    assert document.data == {"a": 0, "b": [1, 2], "c": "\N{REPLACEMENT CHARACTER}x"}
    assert document.position(at("b", 1)) == (2, 11)
    assert document.position(at("c", offset=1)) == (3, 14)


def test_a_comma_that_is_missing_at_the_end_of_a_line_moves_nothing() -> None:
    document = read('{"a": 1\n "b": 2,\n "c": [3\n 4]}')
    assert document.data == {"a": 1, "b": 2, "c": [3, 4]}
    assert document.position(at("b", on_key=True)) == (2, 2)
    assert document.position(at("c", 0)) == (3, 8)
    assert document.position(at("c", 1)) == (4, 2)


def test_a_broken_text_gives_the_places_before_the_break() -> None:
    positions = Positions('{"a": [1, 2, x], "b": 3}')
    assert positions.offset(at("a", 1)) == 10
    assert positions.offset(at("a", 2)) == 13
    assert positions.offset(at("a", 3)) == 6
    assert positions.offset(at("b")) == 0


def test_an_unreadable_file_has_one_place() -> None:
    assert read("").position(at("nodes", 0)) == (1, 1)


def test_diagnostics_are_placed_in_the_order_of_the_text_and_others_come_after() -> None:
    from cloudflow_dagster.diagnostics import Diagnostic

    document = read('{"a": 1,\n "b": 2}')
    elsewhere = Diagnostic("CF0000", "Elsewhere.", Location("0.json"))
    placed = document.place(
        [
            elsewhere,
            Diagnostic("CF0000", "Second.", at("b")),
            Diagnostic("CF0000", "Known.", at("b"), line=1, column=4),
            Diagnostic("CF0000", "First.", at("a", on_key=True)),
        ]
    )
    assert [(d.message, d.line, d.column) for d in placed] == [
        ("First.", 1, 2),
        ("Known.", 1, 4),
        ("Second.", 2, 7),
        ("Elsewhere.", None, None),
    ]
