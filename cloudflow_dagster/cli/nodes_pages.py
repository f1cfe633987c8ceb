"""Pages about node types, in Markdown: what `cloudflow nodes docs` writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from cloudflow_dagster.cli.nodes_fields import (
    ACCESSES,
    REPEATS,
    example_of,
    fields_of,
    first_sentence,
    port_fields,
)
from cloudflow_dagster.cli.nodes_resource import resource_lines
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import NodeType, Port

MADE = "<!-- Made by `cloudflow nodes docs`: changes here are lost. -->"
INDEX = "README.md"
_SERVICE_PARTS = 3


def pages_of(
    registry: Registry, entries: Iterable[Entry], *, services: bool = False
) -> dict[str, str]:
    """Return pages by their names: the index, and one for each node type that a person wrote.

    Args:
        registry: Has the node types.
        entries: All that there is.
        services: Also one for each service, with the node types that are made from its API.
    """
    known = sorted(entries, key=lambda entry: entry.id)
    curated = [entry for entry in known if entry.curated]
    generated = [entry for entry in known if not entry.curated and entry.id.count(".") >= 1]
    by_service = {
        service: list(each) for service, each in groupby(generated, key=lambda e: _service(e.id))
    }
    pages = {INDEX: _index(curated, by_service, services=services)}
    for entry in curated:
        if node_type := registry.get(entry.id):
            pages[f"{entry.id}.md"] = page_of(node_type)
    if services:
        for service, each in by_service.items():
            pages[f"services/{service}.md"] = _service_page(registry, service, each)
    return pages


def write(folder: Path, pages: Mapping[str, str]) -> int:
    """Write pages, and remove those that were made before and are none any more.

    Raises:
        OSError: The folder cannot be written.
    """
    for file in folder.rglob("*.md") if folder.is_dir() else ():
        name = file.relative_to(folder).as_posix()
        if name not in pages and file.read_text("utf-8").startswith(MADE):
            file.unlink()
    for name, text in pages.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return len(pages)


def page_of(t: NodeType) -> str:
    """Return the page about one node type."""
    lines = [
        MADE,
        f"# {t.label}",
        "",
        f"`{t.id}`: {t.kind}, {t.category}, {ACCESSES[t.access]}.",
        "",
        t.description.strip(),
        *(("", f"**Destructive:** {t.destructive}") if t.destructive else ()),
        *_section("Config", _config(t)),
        *_section("Output ports", _ports(t.outputs)),
        *_section("After an interruption", [f"`{t.repeat}`: {REPEATS[t.repeat]}"]),
    ]
    if resource := resource_lines(t.resource)[2:]:
        lines += _section("Resource", [f"- {line.strip()}" for line in resource])
    if undone_by := t.undone_by():
        lines += _section("Undone by", [f"`{undone_by.type}`, with `compensate`."])
    permissions = [f"- {permission}" for permission in t.permissions_for()]
    lines += _section("Permissions", permissions or ["None."])
    lines += _section("Example", ["```json", *example_of(t).splitlines(), "```"])
    if t.documentation:
        lines += ["", f"[The API's documentation]({t.documentation})"]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _config(t: NodeType) -> list[str]:
    rows = [
        (
            f"`{field.name}`",
            f"{field.kind}{', required' if field.required else ''}",
            f"`{field.default}`" if field.default is not None else "",
            field.meaning,
        )
        for field in fields_of(t.config_schema)
    ]
    return _table(("field", "type", "default", "meaning"), rows) if rows else ["None."]


def _ports(ports: Sequence[Port]) -> list[str]:
    rows = [(f"`{field.name}`", field.kind, field.meaning) for field in port_fields(ports)]
    return _table(("port", "type", "meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows),
    ]


def _service(id: str) -> str:
    """Return the name of the page of a generated node type: `aws.ec2`."""
    return ".".join(id.split(".")[: _SERVICE_PARTS - 1])


def _index(
    curated: Sequence[Entry], by_service: Mapping[str, Sequence[Entry]], *, services: bool
) -> str:
    lines = [
        MADE,
        "# Node types",
        "",
        "`cloudflow nodes search WORDS` finds them, `cloudflow nodes show TYPE` explains each.",
    ]
    ordered = sorted(curated, key=lambda entry: (entry.category, entry.id))
    for category, each in groupby(ordered, key=lambda entry: entry.category):
        rows = [
            (f"[`{e.id}`]({e.id}.md)", first_sentence(e.description), ACCESSES[e.access])
            for e in each
        ]
        title = category[:1].upper() + category[1:]
        lines += _section(title, _table(("node type", "what it does", "access"), rows))
    names = [f"[`{name}`](services/{name}.md)" if services else f"`{name}`" for name in by_service]
    text = (
        "Every operation and every resource of these services is a node type too, made from the "
        "service's API. `cloudflow nodes docs FOLDER --services` writes a page for each."
    )
    lines += _section("Services", [text, "", ", ".join(names) + "."])
    return "\n".join(lines) + "\n"


def _service_page(registry: Registry, service: str, entries: Iterable[Entry]) -> str:
    rows = list(_service_rows(registry, entries))
    head = ("node type", "label", "what it does", "access", "again")
    return "\n".join([MADE, f"# {service}", "", *_table(head, rows)]) + "\n"


def _service_rows(registry: Registry, entries: Iterable[Entry]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        if node_type := registry.get(entry.id):
            yield (
                f"`{entry.id}`",
                node_type.label,
                first_sentence(node_type.description),
                ACCESSES[node_type.access],
                node_type.repeat,
            )
