"""Reads the help of a declared node type from a Google-style docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):\s*$")
_ARGUMENT = re.compile(r"(?P<name>\w+)(?:\s*\([^)]*\))?:\s*(?P<text>.*)")


@dataclass(frozen=True, slots=True)
class Help:
    """What a docstring says.

    Attributes:
        description: Everything before the first section; Markdown.
        arguments: The description of each parameter, by its name.
    """

    description: str
    arguments: dict[str, str]


def read_help(docstring: str | None) -> Help:
    """Split a docstring into the description and what its `Args:` say."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    start = next((n for n, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    arguments: dict[str, str] = {}
    for n, line in enumerate(lines):
        if line.rstrip() == "Args:":
            arguments = _arguments(lines[n + 1 :])
    return Help("\n".join(lines[:start]).strip(), arguments)


def _arguments(lines: list[str]) -> dict[str, str]:
    """Read `name: text` entries; lines that are indented deeper go on with the entry before."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    depth: int | None = None
    for line in lines:
        text = line.strip()
        if not text:
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        depth = indent if depth is None else depth
        entry = _ARGUMENT.match(text) if indent == depth else None
        if entry:
            current = found.setdefault(entry["name"], [])
            text = entry["text"]
        if current is not None and text:
            current.append(text)
    return {name: " ".join(parts) for name, parts in found.items()}
