"""Finds secrets that stand in `cloudflow.yaml` where nothing asked for one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cloudflow_dagster.diagnostics.model import Diagnostics, Location
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project.rules import LITERAL_SECRET, SECRET_IN_VARIABLE

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")),
    ("a Slack webhook", re.compile(r"hooks\.slack\.com/(?:services|workflows)/\w+/\w+")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("a password in an address", re.compile(r"://[^/\s:@]{0,100}:[^/\s:@]{1,200}@")),
)
_LIKE_A_SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|api_?key|access_?key|private_?key)(?:$|_(?:value|key))",
    re.IGNORECASE,
)


def find_literal_secrets(sections: Mapping[str, Json], top: Location, found: Diagnostics) -> None:
    """Report texts anywhere in the file that look like secrets, whatever they are called.

    Args:
        sections: The whole file.
        top: The file.
        found: Receives what is wrong. Names the kind of secret, not the text.
    """
    reported = {d.at.pointer for d in found if d.code == LITERAL_SECRET.code}
    for at, text in _texts(sections, top):
        what = next((what for what, shape in _SHAPES if shape.search(text)), None)
        if what is not None and at.pointer not in reported:
            found.add(
                LITERAL_SECRET,
                at,
                f"This looks like {what}.",
                "Put it under `secrets` (`{env: NAME}`), and change it: it was in a file that "
                "others read.",
            )
    variables = sections.get("variables")
    if isinstance(variables, dict):
        named: dict[str, Json] = variables  # pyright: ignore[reportUnknownVariableType] - JSON
        for name, value in named.items():
            if isinstance(value, str) and _LIKE_A_SECRET.search(name):
                found.add(
                    SECRET_IN_VARIABLE,
                    Location(top.file, top.pointer / "variables" / name, on_key=True),
                    f"The variable `{name}` is named like a secret, and variables are shown.",
                    "Put it under `secrets` and read it with "
                    f"`$secret('{name}')`, or give it another name.",
                )


def _texts(value: Json, at: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        members: dict[str, Json] = value  # pyright: ignore[reportUnknownVariableType] - JSON
        for name, member in members.items():
            yield from _texts(member, at.at(name))
    elif isinstance(value, list):
        items: list[Json] = value  # pyright: ignore[reportUnknownVariableType] - JSON
        for i, item in enumerate(items):
            yield from _texts(item, at.at(i))
