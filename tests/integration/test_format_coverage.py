"""Every sentence of the flow format has a test: `tests/fixtures/format_coverage.md` says which."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
CONTRACT = TESTS.parent / "docs" / "flow-format.md"
COVERAGE = TESTS / "fixtures" / "format_coverage.md"
_BEGIN, _END = "\n## The flow\n", "\n## Where the contract is silent"


BESIDE = {
    # of this file
    "test_every_sentence_of_the_contract_has_a_row",
    "test_what_proves_each_sentence_is_there",
    "test_every_test_of_the_format_proves_a_sentence_or_is_of_use_beside_one",
    # of "Where the contract is silent", and what follows from several sentences
    "test_a_call_of_a_broken_flow_fails_alone",
    "test_an_expression_that_fails_is_an_error_of_its_node",
    "test_in_the_body_retries_timeouts_and_on_error_work_as_outside",
    "test_people_are_shown_the_first_findings_and_how_many_more_there_are",
    "test_what_stands_beside_flows_is_not_a_flow",
    # of what Dagster's pages offer
    "test_a_selected_part_of_a_flow_runs_alone",
    "test_selected_nodes_are_run_again_and_see_what_the_others_gave",
}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def contract() -> str:
    text = CONTRACT.read_text("utf-8")
    return text[text.index(_BEGIN) : text.index(_END)]


@cache
def rows() -> list[tuple[str, str]]:
    """Return each sentence and what proves it."""
    lines = COVERAGE.read_text("utf-8").splitlines()
    table = lines[lines.index("|---|---|") + 1 :]
    found = [re.fullmatch(r"\| (.*) \| (.*?) \|", line) for line in table]
    assert all(found)
    return [(match[1], match[2]) for match in found if match]


def known() -> set[str]:
    """Return the names of all tests."""
    return {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_sentence_of_the_contract_has_a_row() -> None:
    """Word by word, so that the first place where the two differ is shown."""
    written, covered = words(contract()), [w for sentence, _ in rows() for w in words(sentence)]

    for place, (one, other) in enumerate(zip(written, covered, strict=False)):
        assert one == other, " ".join(written[max(0, place - 12) : place + 3])
    assert len(written) == len(covered)


def test_what_proves_each_sentence_is_there() -> None:
    for sentence, proof in rows():
        if proof == "— a heading":
            assert len(words(sentence)) < 6, sentence
        else:
            assert re.search(r"`test_\w+`", proof), sentence
    named = {name for _, proof in rows() for name in re.findall(r"`(test_\w+)`", proof)}

    assert named - known() == set()


def test_every_test_of_the_format_proves_a_sentence_or_is_of_use_beside_one() -> None:
    """A name that nobody mentions is listed here with its reason."""
    named = {name for _, proof in rows() for name in re.findall(r"`(test_\w+)`", proof)}
    here = {
        node.name
        for path in Path(__file__).parent.glob("test_format_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }

    assert here - named == BESIDE
