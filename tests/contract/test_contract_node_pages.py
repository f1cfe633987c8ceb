"""The pages about node types are what the command makes of the catalogue."""

from __future__ import annotations

from pathlib import Path

from cloudflow_dagster.cli.nodes_pages import MADE, pages_of, write
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.providers import catalogue

PAGES = Path(__file__).parents[2] / "docs" / "nodes"


def test_the_pages_that_are_checked_in_are_what_make_docs_writes() -> None:
    registry = catalogue()
    made = pages_of(registry, registry.open_index().entries())
    kept = {file.relative_to(PAGES).as_posix(): file for file in PAGES.rglob("*.md")}
    assert kept.keys() == made.keys()
    assert [name for name, file in kept.items() if file.read_text("utf-8") != made[name]] == []


def test_a_service_has_a_page_with_all_that_is_made_from_its_api() -> None:
    ids = ("aws.sqs.send_message", "aws.sqs.list_queues", "aws.sts.get_caller_identity")
    pages = pages_of(catalogue(), [Entry(id, "", "") for id in ids], services=True)
    assert pages.keys() == {"README.md", "services/aws.sqs.md", "services/aws.sts.md"}
    assert "| `aws.sqs.list_queues` | List queues |" in pages["services/aws.sqs.md"]
    assert "| reads | read |" in pages["services/aws.sqs.md"]


def test_pages_that_are_none_any_more_go_and_those_of_others_stay(tmp_path: Path) -> None:
    write(tmp_path, {"old.md": f"{MADE}\n# Old\n"})
    (tmp_path / "own.md").write_text("# Own\n", "utf-8")
    assert write(tmp_path, {"new.md": f"{MADE}\n# New\n"}) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.md", "own.md"]
