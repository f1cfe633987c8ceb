"""Ids of flows and nodes: which texts can be one, and which one comes close to a text."""

from __future__ import annotations

import re
import unicodedata

from cloudflow_dagster.flow.model import ID_PATTERN

LONGEST_ID = 63
ID_IN_WORDS = (
    "An id starts with a small letter and goes on with small letters, digits and single "
    f"underscores, {LONGEST_ID} characters at most."
)
_ID = re.compile(ID_PATTERN)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHERS = re.compile(r"[^a-z0-9]+")


def is_identifier(text: str) -> bool:
    """Return whether a text can be the id of a flow or a node."""
    return len(text) <= LONGEST_ID and _ID.fullmatch(text) is not None


def identifier_from(text: str) -> str | None:
    """Return the id that comes closest to a text, or None if nothing of it can be in an id.

    >>> identifier_from("Nightly Backup (EU)")
    'nightly_backup_eu'
    """
    humps = _HUMP.sub("_", text[:200])
    plain = unicodedata.normalize("NFKD", humps).encode("ascii", "ignore").decode().lower()
    words = _OTHERS.sub("_", plain).strip("_")
    if words[:1].isdigit():
        words = f"n{words}"
    return words[:LONGEST_ID].rstrip("_") or None
