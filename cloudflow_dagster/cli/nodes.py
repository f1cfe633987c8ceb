"""`cloudflow nodes`."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cloudflow_dagster.cli.nodes_fields import (
    ACCESSES,
    REPEATS,
    Field,
    example_of,
    fields_of,
    first_sentence,
    port_fields,
)
from cloudflow_dagster.cli.nodes_pages import pages_of, write
from cloudflow_dagster.cli.nodes_resource import resource_facts, resource_lines
from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.diagnostics.wording import in_words
from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import NodeType, Port, Repeat
from cloudflow_dagster.providers import catalogue

_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
_PROVIDER = click.option(
    "--provider", help="Only node types whose ids begin so: aws, generic, logic …"
)
_WIDEST = 40
"""Of the column with the names of fields."""


@click.group("nodes")
def command() -> None:
    """List, search and explain the node types of the catalogue."""


@command.command("list")
@_FORMAT
@_PROVIDER
@click.option("--limit", type=click.IntRange(min=1), help="Show at most so many.")
def list_nodes(form: str, provider: str | None, limit: int | None) -> None:
    """List all node types; `--provider aws` alone gives some 21,600."""
    with _index() as index:
        _refuse_unknown(provider, index)
        _print(index.entries(provider, limit), form)


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@_FORMAT
@_PROVIDER
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
def search_nodes(words: tuple[str, ...], form: str, provider: str | None, limit: int) -> None:
    """Find node types by a question, such as `encrypt a bucket`; the best first."""
    with _index() as index:
        _refuse_unknown(provider, index)
        found = index.search(" ".join(words), limit + 1, provider)
    chosen = found[:limit]
    _print(chosen, form)
    if form == "text" and len(found) > limit:
        click.echo("There are more: add words, or raise --limit.", err=True)
    if form == "text" and not chosen:
        click.echo("Nothing found. Fewer or more general words may help.", err=True)


@command.command("show")
@click.argument("type")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def show_node(type: str, form: str) -> None:
    """Explain the node type TYPE: its config, ports, permissions and an example."""
    registry = _registry()
    node_type = registry.get(type)
    if node_type is None:
        give_up(f"there is no node type `{type}`. {registry.suggest(type) or ''}".rstrip())
    click.echo(json.dumps(_whole(node_type), indent=2) if form == "json" else _explained(node_type))


@command.command("docs")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--services", is_flag=True, help="Also a page for each service; half a minute.")
def write_pages(folder: Path, *, services: bool) -> None:
    """Write pages about node types into FOLDER: one for each that a person wrote, and an index."""
    registry = _registry()
    with _index() as index:
        pages = pages_of(registry, index.entries(), services=services)
    try:
        count = write(folder, pages)
    except OSError as error:
        give_up(f"{error.filename or folder}: {error.strerror or error}.")
    click.echo(f"Wrote {count} pages to {folder}.")


def _registry() -> Registry:
    registry = catalogue()
    for problem in registry.problems:
        click.echo(f"cloudflow: {problem.message} {problem.suggestion or ''}".rstrip(), err=True)
    return registry


@contextmanager
def _index() -> Generator[Index, None, None]:
    """Give the index of all node types; say afterwards if it could not be kept."""
    index = _registry().open_index(_say_that_it_is_made)
    yield index
    if index.problem:
        click.echo(f"cloudflow: {index.problem}", err=True)


def _refuse_unknown(provider: str | None, index: Index) -> None:
    if provider is not None and provider not in (known := index.families()):
        give_up(f"no node type is of a provider `{provider}`. There are {', '.join(known)}.")


def _say_that_it_is_made() -> None:
    click.echo(
        "cloudflow: making the index of node types, once for these versions of the packages; "
        "this takes some seconds.",
        err=True,
    )


def _print(rows: Sequence[Entry], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([_brief(t) for t in rows], indent=2))
        return
    width = max((len(t.id) for t in rows), default=0)
    for t in rows:
        click.echo(f"{t.id.ljust(width)}  {t.access.ljust(7)}  {first_sentence(t.description)}")


def _brief(t: NodeType | Entry) -> dict[str, Any]:
    return {
        "id": t.id,
        "label": t.label,
        "provider": t.provider,
        "category": t.category,
        "kind": t.kind,
        "access": t.access,
        "description": first_sentence(t.description),
    }


def _whole(t: NodeType) -> dict[str, Any]:
    return {
        **_brief(t),
        "description": t.description,
        "icon": t.icon,
        "color": t.color,
        "inputs": [_port(p) for p in t.inputs],
        "outputs": [_port(p) for p in t.outputs],
        "config_schema": t.config_schema,
        "output_schema": t.output_schema,
        "destructive": t.destructive,
        "iamRequired": [asdict(p) for p in t.permissions_for()],
        "repeat": t.repeat,
        "token_seconds": t.token_seconds if t.repeat is Repeat.TOKEN else None,
        "undone_by": _undone_by(t),
        "resource": resource_facts(t.resource),
        "documentation": t.documentation,
    }


def _undone_by(t: NodeType) -> dict[str, Any] | None:
    inverse = t.undone_by()
    if inverse is None:
        return None
    return {"type": inverse.type, "output": dict(inverse.output), "config": list(inverse.same)}


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, "carries": port.carries, "description": port.description}


def _explained(t: NodeType) -> str:
    lines = [
        f"{t.id} - {t.label} ({t.kind}, {t.category}, {ACCESSES[t.access]})",
        "",
        t.description.strip(),
        *(("", f"Destructive: {t.destructive}") if t.destructive else ()),
        "",
        "Config",
    ]
    lines += _fields(t.config_schema) or ["  none"]
    if t.ports_of is not None:
        lines += ["", "Output ports depend on the config; always:"]
    else:
        lines += ["", "Output ports"]
    lines += _ports(t.outputs)
    lines += ["", "After an interruption", f"  {t.repeat}: {REPEATS[t.repeat]}"]
    if t.repeat is Repeat.TOKEN and t.token_seconds is not None:
        lines.append(
            f"  After {in_words(t.token_seconds)} the token may be forgotten: it asks then."
        )
    undone_by = t.undone_by()
    if undone_by is not None:
        fields = {field: f"output.{path}" for field, path in undone_by.output.items()}
        fields |= {field: f"config.{field}" for field in undone_by.same}
        filled = [f"    {field}: {source}" for field, source in fields.items()]
        lines += ["", 'Undone by (`"compensate": {}`)', f"  {undone_by.type}", *filled]
    lines += resource_lines(t.resource)
    lines += ["", "Permissions", *(f"  {p}" for p in t.permissions_for() or ("none",))]
    lines += ["", "Example", *(f"  {line}" for line in example_of(t).splitlines())]
    if t.documentation:
        lines += ["", f"Documentation: {t.documentation}"]
    return "\n".join(lines)


def _fields(schema: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[Field, str]] = []
    for field in fields_of(schema):
        notes = [field.kind, *(["required"] if field.required else [])]
        if field.default is not None:
            notes.append(f"default {field.default}")
        rows.append((field, ", ".join(notes)))
    return _lines(rows)


def _ports(ports: Sequence[Port]) -> list[str]:
    """Return a line for each port and each field in it, with what it carries if that is known."""
    return _lines([(field, field.kind) for field in port_fields(ports)])


def _lines(rows: Sequence[tuple[Field, str]]) -> list[str]:
    """Return fields with what is said of them, beneath each other."""
    names = [field.name if field.level == 0 else f"  {field.name}" for field, _ in rows]
    width = min(max(map(len, names), default=0), _WIDEST)
    return [
        f"  {name.ljust(width)}  {f'{notes}. ' if notes else ''}{field.meaning}".rstrip()
        for name, (field, notes) in zip(names, rows, strict=True)
    ]
