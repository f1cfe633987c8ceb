"""Outputs too large for the database: in files, and nobody sees the difference."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.runtime.database import RecordsError
from cloudflow_dagster.runtime.large import StoredFile
from cloudflow_dagster.runtime.record import Ancestor, RecordKey

QUOTES = 2
KB = 1_000


@pytest.fixture(autouse=True)
def small_limits(stage: Any) -> None:
    """A kilobyte in the database, three at all."""
    (stage.folder / "cloudflow.yaml").write_text(
        "settings: {inline_output_mb: 0.001, largest_output_mb: 0.003}\n"
    )


def files_of(stage: Any) -> list[str]:
    return sorted(
        path.relative_to(stage.folder).as_posix() for path in stage.folder.glob("files/**/*.*")
    )


def text(size: int) -> str:
    """Return a text that takes so many bytes as JSON."""
    return "x" * (size - QUOTES)


def test_at_the_border_the_database_holds_it_and_one_byte_more_a_file(stage: Any) -> None:
    stage.on["a"] = lambda call, config: text(KB)
    stage.on["b"] = lambda call, config: text(KB + 1)
    played = stage.flow({"id": "a"}, {"id": "b"})

    assert played.output("a") == text(KB)
    assert played.output("b") == text(KB + 1)
    assert files_of(stage) == [f"files/{played.run.id}/outputs/b.json"]
    assert len((stage.folder / files_of(stage)[0]).read_bytes()) == KB + 1


def test_at_the_border_it_is_taken_and_one_byte_more_fails_with_a_way_out(stage: Any) -> None:
    stage.on["a"] = lambda call, config: text(3 * KB)
    stage.on["b"] = lambda call, config: text(3 * KB + 1)
    played = stage.flow({"id": "a"}, {"id": "b"})

    assert played.output("a") == text(3 * KB)
    error = played.error("b")
    assert error["code"] == "OutputTooLarge"
    assert "3,001 bytes" in error["message"]
    assert "3,000" in error["message"]
    assert "settings.largest_output_mb" in error["message"]
    assert len(files_of(stage)) == 1


def test_bytes_are_counted_as_they_are_stored(stage: Any) -> None:
    stage.on["a"] = lambda call, config: "é" * 200
    stage.flow({"id": "a"})
    assert len(files_of(stage)) == 1


def test_expressions_conditions_and_edges_see_it_as_any_other(stage: Any) -> None:
    value = {"items": [1, 2, 3], "filler": text(KB)}
    stage.on["a"] = lambda call, config: value
    played = stage.flow(
        {"id": "a"},
        {"id": "ask", "type": "logic.if", "config": {"condition": "{{ nodes.a.items[1] = 2 }}"}},
        {"id": "sum", "config": {"value": "{{ $sum(input.items) }}"}},
        {"id": "off", "disabled": True},
        {"id": "whole", "config": {"value": "{{ nodes.off }}"}},
        edges=["a -> ask", "ask.true -> sum", "a -> off", "off -> whole"],
    )
    assert played.output("sum") == 6
    assert played.output("off") == value
    assert played.output("whole") == value


def test_each_item_of_a_loop_has_a_file_of_its_own(stage: Any) -> None:
    stage.on["a"] = lambda call, config: [config["value"], text(KB)]
    played = stage.flow(
        {"id": "each", "type": "logic.loop", "config": {"items": [1, 2, 3]}},
        {"id": "a", "config": {"value": "{{ item }}"}},
        edges=["each.item -> a"],
    )
    results = played.output("each")["results"]
    assert [result[0] for result in results] == [1, 2, 3]
    assert len(files_of(stage)) == 3


def test_a_run_that_goes_on_reads_what_the_one_before_stored(stage: Any) -> None:
    stage.on["a"] = lambda call, config: text(2 * KB)
    plan = stage.plan(
        {"id": "a"}, {"id": "b", "config": {"value": "{{ nodes.a }}"}}, edges=["a -> b"]
    )
    stage.play(plan, "first")
    records = stage.records("second", [Ancestor("first", frozenset({"b"}), True)])
    record = records.read(RecordKey("a"))
    assert isinstance(record.source, StoredFile)
    assert record.output == text(2 * KB)
    # What passes it on names the same file.
    records.write(RecordKey("c"), record)
    assert records.own(RecordKey("c")).output == text(2 * KB)
    assert len(files_of(stage)) == 2  # of a and of b


def test_a_file_that_is_gone_or_damaged_is_said_to_be_so(stage: Any) -> None:
    stage.on["a"] = lambda call, config: text(2 * KB)
    stage.play(stage.plan({"id": "a"}), "first")
    file: Path = stage.folder / files_of(stage)[0]
    file.write_text('"cut off')
    with pytest.raises(RecordsError, match="is damaged"):
        _ = stage.records("first").read(RecordKey("a")).output
    file.unlink()
    with pytest.raises(RecordsError, match="is gone: its run was deleted"):
        _ = stage.records("first").read(RecordKey("a")).output


def test_secrets_are_taken_out_of_files_too(stage: Any) -> None:
    plan = stage.plan({"id": "a"})
    run = stage.run(plan, "secretive")
    run.redactor.add("open-sesame-1859")
    from cloudflow_dagster.runtime.whole import run_plan
    from tests.unit.runtime.conftest import Log

    stage.on["a"] = lambda call, config: ["open-sesame-1859", text(KB)]
    run_plan(run, lambda _step, _indices: Log())
    (file,) = files_of(stage)
    assert "open-sesame" not in (stage.folder / file).read_text()


def test_the_database_stays_small_and_the_memory_too(stage: Any) -> None:
    (stage.folder / "cloudflow.yaml").write_text("{}")
    size = 17_000_000
    nodes = [{"id": f"n{number}"} for number in range(6)]
    for node in nodes:
        stage.on[node["id"]] = lambda call, config: text(size)
    plan = stage.plan(*nodes, edges=[f"n{n} -> n{n + 1}" for n in range(5)])
    run = stage.run(plan, "large")
    from cloudflow_dagster.runtime.whole import run_plan
    from tests.unit.runtime.conftest import Log

    tracemalloc.start()
    run_plan(run, lambda _step, _indices: Log())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(files_of(stage)) == 6
    # Not six of them at the same time: the value, its JSON and what is written.
    assert most < 4.5 * size
    with closing(sqlite3.connect(stage.folder / "records.sqlite")) as db:
        pages, page = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
    assert pages * page < 1_000_000
