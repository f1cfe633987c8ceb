"""Takes secrets out of everything that is stored or shown."""

from __future__ import annotations

import codecs
import json
import threading
from collections.abc import Iterable, Iterator
from typing import cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.spellings import (
    Searched,
    Span,
    Spelling,
    merged,
    parts_of,
    spellings_of,
)

MARK = "***"
SHORTEST = 4
"""Shorter secrets are hidden only where a value as a whole is one: they are in every other text."""
_HELD_BACK = 16_384
"""Characters of a stream that wait for what follows: a secret may begin in them."""


class Redactor:
    """Knows the secrets of a run and hides them, in the forms in which they usually travel.

    Beside the secret itself: escaped, once or often, as in URLs, JSON, HTML and source code; in
    upper and lower case; broken over lines; in base64 (also as a part of a longer text, as in basic
    authentication) and hexadecimal. Of a secret with several lines each line is one, of a JSON
    object each member that is named like a secret. What is encoded twice, encrypted or computed in
    another way is not recognised.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._short: frozenset[str] = frozenset()
        self._spellings: tuple[tuple[str, Spelling], ...] = ()
        """By their anchors, which every text is searched for."""

    def add(self, secret: str) -> None:
        """Hide this value from now on."""
        with self._lock:
            if not secret or secret in self._seen:
                return
            self._seen.add(secret)
            parts = [part for part in parts_of(secret) if part]
            if len(secret) < SHORTEST:
                self._short |= {secret}
            found = [s for part in parts if len(part) >= SHORTEST for s in spellings_of(part)]
            anchored = ((spelling.anchor, spelling) for spelling in found)
            self._spellings = tuple(dict.fromkeys((*self._spellings, *anchored)))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if text in self._short:
            return MARK
        return _without(text, self._spans(text))

    def value(self, value: Json) -> Json:
        """Return a JSON value without secrets; the same object if there were none."""
        if not self._spellings and not self._short:
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
        if not (self._spans(text) or any(json.dumps(short) in text for short in self._short)):
            return text
        return json.dumps(self.value(json.loads(text)), separators=(",", ":"))

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a stream without secrets, in other chunks.

        What is not UTF-8 goes through as it is.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        held = ""
        for chunk in chunks:
            held += decoder.decode(chunk)
            if len(held) <= 2 * _HELD_BACK:
                continue
            spans = self._spans(held)
            cut = len(held) - _HELD_BACK
            cut = next((end for start, end in spans if start < cut < end), cut)
            ready = _without(held[:cut], [span for span in spans if span[1] <= cut])
            held = held[cut:]
            yield ready.encode("utf-8", "surrogateescape")
        held += decoder.decode(b"", final=True)
        if held:
            yield _without(held, self._spans(held)).encode("utf-8", "surrogateescape")

    def _spans(self, text: str) -> list[Span]:
        """Return where in a text secrets stand, in order."""
        if not self._spellings:
            return []
        searched = Searched(text)
        lowered, joined = searched.lowered, searched.joined
        if joined is lowered:
            suspects = [each for anchor, each in self._spellings if anchor in lowered]
        else:
            suspects = [e for anchor, e in self._spellings if anchor in lowered or anchor in joined]
        return merged(span for each in suspects for span in each.found_in(searched))


def _without(text: str, spans: list[Span]) -> str:
    if not spans:
        return text
    kept: list[str] = []
    place = 0
    for start, end in spans:
        kept += (text[place:start], MARK)
        place = end
    return "".join((*kept, text[place:]))
