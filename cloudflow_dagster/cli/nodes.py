"""`cloudflow nodes`."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from cloudflow_dagster.cli.nodes_resource import resource_facts, resource_lines
from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.diagnostics.wording import in_words
from cloudflow_dagster.nodes.index import Index, NoFullTextSearchError
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import Access, NodeType, Port, Repeat
from cloudflow_dagster.providers import catalogue

_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
_PROVIDER = click.option("--provider", help="Only node types of this provider: aws, gcp, azure …")

_ACCESSES: Mapping[Access, str] = {
    Access.READ: "reads",
    Access.CHANGE: "changes",
    Access.DESTROY: "destroys",
}

_REPEATS: Mapping[Repeat, str] = {
    Repeat.READ: "it changes nothing, so it is done again.",
    Repeat.SAFE: "it is done again, because twice is the same as once.",
    Repeat.TOKEN: "it is done again with the same idempotency token, so that it happens once.",
    Repeat.LOOKUP: "what it would have made is looked for, and made again if it is not there.",
    Repeat.ASK: "the run stops and asks whether it was done, unless the config makes that certain.",
}


@click.group("nodes")
def command() -> None:
    """List, search and explain the node types of the catalogue."""


@command.command("list")
@_FORMAT
@_PROVIDER
@click.option("--limit", type=click.IntRange(min=1), help="Show at most so many.")
def list_nodes(form: str, provider: str | None, limit: int | None) -> None:
    """List all node types; `--provider aws` alone gives some 19,800."""
    with _index() as index:
        _print(index.entries(provider, limit), form)


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@_FORMAT
@_PROVIDER
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
def search_nodes(words: tuple[str, ...], form: str, provider: str | None, limit: int) -> None:
    """Find node types by a question, such as `encrypt a bucket`; the best first."""
    with _index() as index:
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


def _registry() -> Registry:
    registry = catalogue()
    for problem in registry.problems:
        click.echo(f"cloudflow: {problem.message} {problem.suggestion or ''}".rstrip(), err=True)
    return registry


@contextmanager
def _index() -> Generator[Index, None, None]:
    """Give the index of all node types; say afterwards if it could not be kept."""
    try:
        index = _registry().index
        yield index
    except NoFullTextSearchError:
        give_up("the SQLite of this Python has no FTS5, without which nothing can be searched.")
    if index.problem:
        click.echo(f"cloudflow: {index.problem}", err=True)


def _print(rows: Sequence[Entry], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([_brief(t) for t in rows], indent=2))
        return
    width = max((len(t.id) for t in rows), default=0)
    for t in rows:
        click.echo(f"{t.id.ljust(width)}  {t.access.ljust(7)}  {_first_sentence(t.description)}")


def _brief(t: NodeType | Entry) -> dict[str, Any]:
    return {
        "id": t.id,
        "label": t.label,
        "provider": t.provider,
        "category": t.category,
        "kind": t.kind,
        "access": t.access,
        "description": _first_sentence(t.description),
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


def _first_sentence(text: str) -> str:
    sentence = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{sentence}." if sentence else ""


def _explained(t: NodeType) -> str:
    lines = [
        f"{t.id} - {t.label} ({t.kind}, {t.category}, {_ACCESSES[t.access]})",
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
    lines += [f"  {p.name.ljust(24)} {_first_sentence(p.description)}".rstrip() for p in t.outputs]
    lines += ["", "After an interruption", f"  {t.repeat}: {_REPEATS[t.repeat]}"]
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
    lines += ["", "Example", *(f"  {line}" for line in _example(t).splitlines())]
    if t.documentation:
        lines += ["", f"Documentation: {t.documentation}"]
    return "\n".join(lines)


def _fields(schema: Mapping[str, Any]) -> list[str]:
    required = set(schema.get("required", ()))
    lines: list[str] = []
    for name, field in schema.get("properties", {}).items():
        notes = [_type_words(field)]
        if name in required:
            notes.append("required")
        if "default" in field and field["default"] is not None:
            notes.append(f"default {json.dumps(field['default'])}")
        text = _first_sentence(field.get("description", ""))
        lines.append(f"  {name.ljust(24)} {', '.join(notes)}. {text}".rstrip())
    return lines


def _type_words(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(json.dumps(v) for v in field["enum"][:8])
    if "anyOf" in field:
        words = dict.fromkeys(_type_words(f) for f in field["anyOf"])
        return " or ".join(w for w in words if w != "null")
    if "$ref" in field:
        return "object"
    kind: str | list[str] = field.get("type", "any JSON")
    if kind == "array":
        return f"list of {_type_words(field.get('items', {}))}"
    return kind if isinstance(kind, str) else " or ".join(kind)


def _example(t: NodeType) -> str:
    schema = t.config_schema
    fields: Mapping[str, Any] = schema.get("properties", {})
    config = {name: _sample(fields.get(name, {})) for name in schema.get("required", ())}
    if t.check_config is not None and t.check_config(config):
        # One of several fields is wanted, which a schema of fields does not say.
        more = ({**config, name: _sample(field)} for name, field in fields.items())
        config = next((each for each in more if not t.check_config(each)), config)
    node: dict[str, Any] = {"id": t.id.rpartition(".")[2], "type": t.id}
    return json.dumps(
        {**node, **({"config": config} if config else {})}, indent=2, ensure_ascii=False
    )


def _sample(field: Mapping[str, Any]) -> Any:
    if "default" in field:
        return field["default"]
    if field.get("enum"):
        return field["enum"][0]
    samples: dict[str, Any] = {
        "integer": 1,
        "number": 1,
        "boolean": True,
        "array": [],
        "object": {},
    }
    kind: str | list[str] = field.get("type", "")
    return samples.get(kind if isinstance(kind, str) else kind[0], "…")
