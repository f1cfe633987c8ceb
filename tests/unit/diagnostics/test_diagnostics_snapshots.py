"""The exact text of diagnostics, as Markdown that people can read.

A file of `tests/fixtures/diagnostics/` is about one thing. Each of its second-level headings is
a case: some files of a project, then all that `cloudflow check` says about its flows:

    ## A field that nobody knows

    ```json
    {"version": 1, "nodes": [], "nods": []}
    ```

    ```text
    flows/flow.json:1:29: error CF1002: The flow has no field `nods`.
    …
    ```

The first word after the back ticks is the language; the second, if there is one, the file's path
(`json flows/other.json`, `yaml cloudflow.yaml`), otherwise `flows/flow.json`. A block of the
language `python` gives a file that cannot be shown as it is: an expression for its text or bytes.
A case without findings has an empty `text` block. A page whose name begins with `strict` shows
what `--strict` says. Other prose is free.

To write the blocks of `text` anew, after looking at what changes:

    CLOUDFLOW_UPDATE_SNAPSHOTS=1 python -m pytest tests/unit/diagnostics
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.diagnostics.render import as_text
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue

FOLDER = Path(__file__).parents[2] / "fixtures" / "diagnostics"
UPDATE = os.environ.get("CLOUDFLOW_UPDATE_SNAPSHOTS") == "1"
_CASE = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One heading of a Markdown file.

    Attributes:
        page: The Markdown file.
        name: The heading.
        files: Path and content of each file of the project.
        expected: What is said of it.
    """

    page: Path
    name: str
    files: dict[str, str | bytes]
    expected: str


def cases() -> list[Case]:
    return [
        case
        for page in sorted(FOLDER.glob("*.md"))
        for case in _cases_of(page, page.read_text(encoding="utf-8"))
    ]


def _cases_of(page: Path, markdown: str) -> list[Case]:
    found: list[Case] = []
    for name, body in _CASE.findall(markdown):
        files: dict[str, str | bytes] = {}
        expected: str | None = None
        for language, path, content in _BLOCK.findall(body):
            if language == "text":
                expected = content
            else:
                value = ast.literal_eval(content) if language == "python" else content
                files[path or "flows/flow.json"] = value
        assert files, f"{page.name}: the case {name!r} has no files"
        assert expected is not None, f"{page.name}: the case {name!r} has no block of text"
        found.append(Case(page, name, files, expected))
    return found


def said_of(files: dict[str, str | bytes], folder: Path, *, strict: bool) -> str:
    """Write the files into a folder and return what is said of its flows."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / path).write_bytes(data)
    compiled = compile_project(find_project(folder), catalogue(), strict=strict)
    assert len(compiled) == sum(path.startswith("flows/") for path in files)
    texts = {one.file: one.document.text for one in compiled}
    return as_text([d for one in compiled for d in one.diagnostics], texts)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.page.stem}: {case.name}")
def test_a_flow_gives_exactly_the_text_of_its_page(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = said_of(case.files, tmp_path, strict=case.page.stem.startswith("strict"))
    said += "" if not said or said.endswith("\n") else "\n"
    if UPDATE and said != case.expected:
        markdown = case.page.read_text(encoding="utf-8")
        start = markdown.index(f"## {case.name}\n")
        block = next(b for b in _BLOCK.finditer(markdown, start) if b.group(1) == "text")
        case.page.write_text(
            markdown[: block.start(3)] + said + markdown[block.end(3) :], encoding="utf-8"
        )
    else:
        assert said == case.expected


def test_there_are_pages() -> None:
    assert len(cases()) > 20
    names = [(case.page.name, case.name) for case in cases()]
    assert len(names) == len(set(names))
