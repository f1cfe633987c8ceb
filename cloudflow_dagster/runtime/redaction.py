"""Takes secrets out of everything that is stored or shown."""

from __future__ import annotations

import html
import json
import re
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote, quote_plus

from cloudflow_dagster.flow.model import Json

MARK = "***"
SHORTEST = 4
"""Shorter secrets are hidden only where a value as a whole is one: they are in every other text."""
_SHORTEST_PIECE = 5
_PERCENT = re.compile(r"%[0-9A-F]{2}")


class Redactor:
    """Knows the secrets of a run and hides them, in the forms in which they usually travel.

    Beside the secret itself: URL-encoded, base64 (also as a part of a longer text, as in basic
    authentication), hexadecimal, and escaped as in JSON, HTML and Python. Of a secret with several
    lines each line is one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._short: frozenset[str] = frozenset()
        self._forms: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        """Hide this value from now on."""
        with self._lock:
            if not secret or secret in self._seen:
                return
            self._seen.add(secret)
            parts = {secret, *_lines(secret)}
            self._short |= {part for part in parts if len(part) < SHORTEST}
            forms = {form for part in parts if len(part) >= SHORTEST for form in _forms(part)}
            # The longest first: what remains of a form when a part of it is hidden could be told.
            self._forms = tuple(sorted(forms.union(self._forms), key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if text in self._short:
            return MARK
        for form in self._forms:
            if form in text:
                text = text.replace(form, MARK)
        return text

    def value(self, value: Json) -> Json:
        """Return a JSON value without secrets; the same object if there were none."""
        if not self._forms and not self._short:
            return value
        match value:
            case str():
                return self.text(value)
            case dict():
                return self._fields(cast("dict[str, Json]", value))
            case list():
                items = cast("list[Json]", value)
                hidden = [self.value(item) for item in items]
                changed = any(a is not b for a, b in zip(items, hidden, strict=True))
                return hidden if changed else items
            case bool() | None:
                return value
            case _:
                text = repr(value)
                return value if self.text(text) == text else MARK

    def _fields(self, value: dict[str, Json]) -> dict[str, Json]:
        hidden = {self.text(name): self.value(field) for name, field in value.items()}
        same = all(name in value and value[name] is field for name, field in hidden.items())
        return value if same and len(hidden) == len(value) else hidden

    def json_text(self, text: str) -> str:
        """Return JSON text without secrets; fast where there are none.

        Nothing is replaced in the text itself: a secret could hold quotes and brackets.
        """
        if not self._mentions(text):
            return text
        return json.dumps(self.value(json.loads(text)), separators=(",", ":"))

    def _mentions(self, text: str) -> bool:
        return any(form in text for form in self._forms) or any(
            _escaped(short) in text for short in self._short
        )


def _lines(secret: str) -> Iterator[str]:
    """Yield the lines of a secret that has several, without the marks around a key."""
    lines = secret.splitlines()
    if len(lines) > 1:
        for line in lines:
            part = line.strip()
            if len(part) >= SHORTEST and not part.startswith("-----"):
                yield part


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret."""
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield encoded
        yield _PERCENT.sub(lambda found: found[0].lower(), encoded)
    for ascii_only in (True, False):
        once = _escaped(secret, ascii_only=ascii_only)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        yield _escaped(once, ascii_only=ascii_only)[1:-1]
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield repr(secret)[1:-1]
    yield data.hex()
    yield data.hex().upper()
    yield from _base64(data)


def _base64(data: bytes) -> Iterator[str]:
    """Yield what stands in base64 text for these bytes, wherever they begin in what is encoded."""
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
        for before in range(3):
            # Characters that also hold bits of the neighbours are left out on both sides.
            first = -(-before * 8 // 6)
            last = (before + len(data)) * 8 // 6
            piece = encode(b"\0" * before + data).decode()[first:last]
            if len(piece) >= _SHORTEST_PIECE:
                yield piece


def _escaped(text: str, *, ascii_only: bool = True) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)
