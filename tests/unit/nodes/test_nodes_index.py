"""How the index is kept: by edition, whole or not at all, whatever happens to its file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudflow_dagster.nodes.cache_folder import cache_folder
from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.search import Entry

MANY = """
import sys
from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.search import Entry
def entries():
    print("making", flush=True)
    text = " ".join(f"word{n}" for n in range(30))
    return [Entry(f"big.do_{n}", f"Do {n}", text) for n in range(int(sys.argv[1]))]
index = Index(["big"], entries, dict)
print([entry.id for entry in index.search("do 7", 1)], index.problem)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOUDFLOW_CACHE", str(tmp_path))
    return tmp_path / "catalogue"


def small(edition: str = "1", made: list[str] | None = None) -> Index:
    def entries() -> list[Entry]:
        if made is not None:
            made.append(edition)
        return [Entry("acme.greet", "Greet", f"Greets, edition {edition}.")]

    return Index([edition], entries, dict)


def found(index: Index) -> list[str]:
    return [entry.description for entry in index.search("greet", 5)]


def run(count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MANY, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_it_is_made_once_for_an_edition_and_again_for_another(folder: Path) -> None:
    made: list[str] = []
    for edition in ("1", "1", "2", "1"):
        assert found(small(edition, made)) == [f"Greets, edition {edition}."]
    assert made == ["1", "2"]
    assert len(list(folder.iterdir())) == 2


def test_what_has_the_same_id_counts_once_and_the_first_wins() -> None:
    entries = [Entry("a.b", "First", "One."), Entry("a.b", "Second", "Two.")]
    index = Index(["twice"], lambda: entries, dict)
    assert [entry.label for entry in index.entries()] == ["First"]


def damage_to_nothing(file: Path) -> None:
    file.write_bytes(b"")


def damage_by_garbage(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def damage_by_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [damage_to_nothing, damage_by_garbage, damage_by_half])
def test_a_damaged_file_is_made_anew(folder: Path, damage: Callable[[Path], None]) -> None:
    small()
    [file] = folder.iterdir()
    damage(file)
    made: list[str] = []
    index = small(made=made)
    assert found(index) == ["Greets, edition 1."]
    assert (made, index.problem) == (["1"], None)
    assert found(small(made=made)) == ["Greets, edition 1."]
    assert made == ["1"]


def test_where_nothing_can_be_kept_it_is_made_each_time_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CLOUDFLOW_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        index = small()
        assert found(index) == ["Greets, edition 1."]
        assert index.problem == (
            "The index of node types cannot be kept, so each search makes it anew: "
            f"{tmp_path / 'file' / 'catalogue'}: Not a directory."
        )


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(folder: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)){MANY}"
    done = subprocess.run(
        [sys.executable, "-c", limited, "3000"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert "['big.do_7'] The index of node types cannot be kept" in done.stdout
    assert list(folder.iterdir()) == []


def test_two_that_make_it_at_once_do_not_disturb_each_other(folder: Path) -> None:
    both = [run(2000), run(2000)]
    assert {process.communicate(timeout=120)[0] for process in both} == {
        "making\n['big.do_7'] None\n"
    }
    assert len(list(folder.iterdir())) == 1


def test_a_process_that_is_killed_while_it_makes_it_leaves_nothing_that_is_used(
    folder: Path,
) -> None:
    process = run(20_000)
    deadline = time.monotonic() + 120
    while not list(folder.glob("*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    [part] = folder.iterdir()
    assert part.suffix == ".part"
    assert run(50).communicate(timeout=120)[0].endswith("['big.do_7'] None\n")
    hour_ago = time.time() - 4000
    os.utime(part, (hour_ago, hour_ago))
    small()
    assert not part.exists()


def test_what_nobody_has_opened_for_a_month_is_removed(folder: Path) -> None:
    small("1")
    [old] = folder.iterdir()
    os.utime(old, (time.time() - 40 * 24 * 3600,) * 2)
    small("2")
    assert not old.exists()


def test_the_cache_folder_is_the_platforms_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == tmp_path
    monkeypatch.delenv("CLOUDFLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/cloudflow")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path)
