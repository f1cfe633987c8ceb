from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloudflow_dagster.diagnostics import Diagnostics, FlowError, Severity
from cloudflow_dagster.flow import syntax
from cloudflow_dagster.flow.document import read_document
from cloudflow_dagster.flow.source import load_flow

FLOW = '{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}'


def found_in(source: Path | str | bytes) -> list[tuple[str, int | None, int | None]]:
    found = Diagnostics()
    document = read_document(source, "a.json", found)
    return [(d.code, d.line, d.column) for d in document.place(found)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{'version': 1}", ("CF0005", 1, 2)),
        ('{"a": 1 "b": 2}', ("CF0005", 1, 8)),
        ('{"a" 1}', ("CF0005", 1, 5)),
        ('{"a"= 1}', ("CF0005", 1, 5)),
        ('{"a": }', ("CF0005", 1, 7)),
        ('{"a": [1, 2}', ("CF0005", 1, 12)),
        ('{"a": 1}}', ("CF0005", 1, 9)),
        ('{"a": 1}\n{}', ("CF0005", 2, 1)),
        ('{"a":\n [1', ("CF0005", 2, 2)),
        ('{"a": "b\n"}', ("CF0005", 1, 7)),
        ('{"a": "b\tc"}', ("CF0005", 1, 9)),
        ('{"a": "\\d"}', ("CF0005", 1, 8)),
        ('{"a": "\\u12"}', ("CF0005", 1, 8)),
        ('{"a": "say "hi""}', ("CF0005", 1, 12)),
        ("{a: 1}", ("CF0005", 1, 2)),
        ('{"a": b}', ("CF0005", 1, 7)),
        ('{"a": True}', ("CF0005", 1, 7)),
        ('{"a": 01}', ("CF0005", 1, 7)),
        ('{"a": .5}', ("CF0005", 1, 7)),
        ('{"a": “b”}', ("CF0005", 1, 7)),
        ('{"a": 1, // one\n"b": 2}', ("CF0006", 1, 10)),
        ('{"a": 1, # one\n"b": 2}', ("CF0006", 1, 10)),
        ('{"a": /* one */ 1}', ("CF0006", 1, 7)),
        ('{"a": 1,}', ("CF0007", 1, 8)),
        ('{"a": [1,\n 2,\n]}', ("CF0007", 2, 3)),
        ('{"a": [1,,2]}', ("CF0007", 1, 10)),
        ('{"a": NaN}', ("CF0008", 1, 7)),
        ('{"a": -Infinity}', ("CF0008", 1, 7)),
        ('{"a": 1e400}', ("CF0008", 1, 7)),
        ('{"a": ' + "9" * 310 + "}", ("CF0008", 1, 7)),
        ('{"a": ' + "9" * 5_000 + "}", ("CF0008", 1, 7)),
        ('{"a": 1,\n "b": 2,\n "a": 3}', ("CF0009", 3, 2)),
        ('{"a": [{"b": 1, "b": 1}]}', ("CF0009", 1, 17)),
        ('{"a": "\\ude00"}', ("CF0002", 1, 8)),
        ('{"a": "\ud800"}', ("CF0002", 1, 8)),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", ("CF0004", 1, 106)),
        ("", ("CF0001", 1, 1)),
        (" \n\n", ("CF0001", 1, 1)),
        ("\ufeff" + FLOW, ("CF0003", 1, 1)),
    ],
)
def test_one_thing_wrong_is_one_finding_at_its_place(
    text: str, place: tuple[str, int, int]
) -> None:
    assert found_in(text) == [place]


@pytest.mark.parametrize(
    "text",
    [
        FLOW,
        f"\n\t {FLOW}\r\n",
        '{"a": "// no comment, \\\\ud800, NaN,}"}',
        '{"a": "\\ud83d\\ude80"}',
        '{"a": 9007199254740993}',
        '{"a": -' + "1" * 300 + "}",
        '{"a": 1e-400}',
        '{"a": "\\u0000"}',
        "[" * 100 + "]" * 100,
        '{"a": {"a": {"a": 1}}}',
        "null",
    ],
)
def test_good_json_has_no_findings(text: str) -> None:
    assert found_in(text) == []
    assert found_in(text.encode()) == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = '{\n  \'a\': NaN, // what\n  "b": [1, 2,]\n  "a": "\\ud800"\n}'
    assert [code for code, *_ in found_in(text)] == [
        *("CF0005", "CF0008", "CF0006", "CF0007", "CF0005", "CF0009", "CF0002")
    ]


def test_bytes_that_are_not_utf8_have_a_place_and_the_rest_is_read() -> None:
    found = Diagnostics()
    document = read_document('{"a": "ü\n'.encode() + b'\xe4", "b": 1,}', "a.json", found)
    assert [(d.code, d.line, d.column) for d in document.place(found)] == [
        ("CF0005", 1, 7),
        ("CF0002", 2, 1),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    found = Diagnostics()
    read_document(FLOW.encode(encoding), "a.json", found)
    [diagnostic] = found
    assert diagnostic.code == syntax.NOT_UNICODE.code
    assert encoding.upper()[:6] in diagnostic.message


def test_a_byte_order_mark_is_read_over_with_a_warning() -> None:
    found = Diagnostics()
    document = read_document(b"\xef\xbb\xbf" + FLOW.encode(), "a.json", found)
    assert [d.severity for d in found] == [Severity.WARNING]
    assert document.text == FLOW
    assert document.data["version"] == 1


def test_integers_stay_exact() -> None:
    number = 2**80 + 1
    assert read_document(f"[{number}]", "a.json", Diagnostics()).data == [number]


def test_a_missing_file_suggests_one_with_nearly_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "backup.json").write_text(FLOW)
    found = Diagnostics()
    read_document(tmp_path / "bakcup.json", str(tmp_path / "bakcup.json"), found)
    [diagnostic] = found
    assert diagnostic.message == "There is no such file."
    assert diagnostic.suggestion == f"Did you mean `{tmp_path / 'backup.json'}`?"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    found = Diagnostics()
    read_document(tmp_path / "flows" / "a.json", "flows/a.json", found)
    [diagnostic] = found
    assert diagnostic.suggestion == f"The folder `{tmp_path / 'flows'}` is not there either."


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in [tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "loop", Path("a\0b")]:
        assert found_in(path) == [("CF0001", 1, 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(FLOW)
    path.chmod(0)
    assert found_in(path) == [("CF0001", 1, 1)]


def test_a_large_file_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as stream:
        stream.truncate(50_000_000_000)  # a file with a hole takes no room on the disk
    assert found_in(path) == [("CF0004", 1, 1)]


def test_load_flow_gives_the_flow_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "backup.json"
    path.write_text(FLOW)
    flow = load_flow(path)
    assert [node.id for node in flow.nodes] == ["start"]
    assert load_flow(str(path)) == flow


def test_load_flow_raises_everything_that_is_wrong_with_places(tmp_path: Path) -> None:
    path = tmp_path / "Back Up.json"
    path.write_text('{"version": 1,\n "nodes": [],\n "nods": [],}')
    with pytest.raises(FlowError) as raised:
        load_flow(path)
    assert [(d.code, d.line, d.column) for d in raised.value.diagnostics] == [
        ("CF1002", 3, 2),
        ("CF0007", 3, 12),
    ]
    assert f"{path}:3:2: CF1002 The flow has no field `nods`." in str(raised.value)


def test_load_flow_refuses_a_file_whose_name_cannot_be_an_id(tmp_path: Path) -> None:
    path = tmp_path / "Back Up.json"
    path.write_text(FLOW)
    with pytest.raises(FlowError, match="CF1009"):
        load_flow(path)
