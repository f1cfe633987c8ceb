r"""How a secret may be spelled in a text: escaped, encoded, in other case, broken over lines.

Letters and digits stand for themselves in URLs, JSON, HTML and source code; whatever else a secret
holds may be escaped, and more than once. So a secret is looked for with a pattern in which each of
its characters may be spelled in all these ways, mixed as one likes. That is slow; so a text is
first searched for the longest run of letters and digits in the secret, the anchor.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast
from urllib.parse import quote

Span = tuple[int, int]

ANY_CASE_FROM = 8
"""A secret of so many characters is found in upper and lower case too."""
_SHORTEST_PIECE = 5
_LONGEST_PART = 160
_RUN = re.compile(r"[A-Za-z0-9]+")
# All repetitions are bounded: no text may make the search slow.
_LINE_BREAK = r"(?:(?:\\{1,15}[rn]|[\r\n])[ \t]{0,64}){0,4}"
_REACH = 32
"""Characters that one character of a secret may have become, and more."""
_PERCENT = "%(?:25){0,4}"
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos", " ": "nbsp"}
_ESCAPES = {"\t": "|t", "\n": "|n", "\r": "|r", "\b": "|b", "\f": "|f"}
_BACKSLASH = rf"(?:\\|(?i:{_PERCENT}5c|&(?:amp;){{0,4}}#(?:0{{0,6}}92|x0{{0,6}}5c);))"
_BASE64 = {"+": "[+-]", "/": "[/_]"}
_SENSITIVE = re.compile(r"pass|secret|token|key|credential|auth|private|signature", re.IGNORECASE)


class Searched:
    r"""A text to be searched: as it is, in lower case, and with its lines joined.

    The lines are also joined where `\n` stands between them, as in JSON.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lowered = text.lower()
        self.joined = self.lowered
        if "\n" in text or "\r" in text or "\\n" in self.lowered:
            lines = self.lowered.replace("\\r", "\n").replace("\\n", "\n").replace("\r", "\n")
            self.joined = "".join(line.strip(" \t\\") for line in lines.split("\n"))


@dataclass(frozen=True)
class Spelling:
    """A text to be found however it is escaped.

    Attributes:
        text: The text.
        any_case: Whether it is found in upper and lower case.
        base64: Whether it is base64, in either alphabet.
    """

    text: str
    any_case: bool = False
    base64: bool = False

    @cached_property
    def anchor(self) -> str:
        """What stands in every text in which this may stand, in lower case."""
        return max(_RUN.findall(self.text), key=len, default="").lower()

    def found_in(self, text: Searched) -> Iterator[Span]:
        """Yield where it stands in a text that holds its anchor."""
        for start, end in self._windows(text):
            for match in self.pattern.finditer(text.text, start, end):
                yield match.span()

    def _windows(self, searched: Searched) -> list[Span]:
        """Return the surroundings of all anchors; all of the text if some are broken over lines."""
        text, lowered, joined = searched.text, searched.lowered, searched.joined
        broken = joined is not lowered and joined.count(self.anchor) > lowered.count(self.anchor)
        if broken or len(lowered) != len(text) or not self.anchor:
            return [(0, len(text))]
        reach = (len(self.text) + 2) * _REACH
        places = (match.start() for match in re.finditer(self.anchor, lowered))
        return merged((max(0, place - reach), place + reach) for place in places)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds it. Made late: most texts hold no secret."""
        ways = (self._ways(character) for character in self.text)
        return re.compile(_LINE_BREAK.join(ways), re.IGNORECASE if self.any_case else 0)

    def _ways(self, character: str) -> str:
        own = _BASE64.get(character) if self.base64 else None
        if character.isascii() or not self.any_case:
            return _ways(character, own)
        # Escaped, upper and lower case differ in more than what a pattern takes for the same.
        cases = {character, character.lower(), character.upper()}
        return f"(?:{'|'.join(_ways(case, None) for case in sorted(cases) if len(case) == 1)})"


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans as few as possible, in order; those that touch become one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _ways(character: str, own: str | None) -> str:
    """Return a pattern for the ways in which one character may be written."""
    if character.isascii() and character.isalnum():
        return character
    if character == "\\":
        return f"{_BACKSLASH}{{1,16}}"
    utf16 = character.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(utf16[n : n + 2]) for n in range(0, len(utf16), 2)]
    utf8 = character.encode("utf-8", "surrogatepass")
    code = ord(character)
    escaped = [
        f"{_BACKSLASH}{{1,15}}".join(["", *(f"u{unit:04x}" for unit in units)]),
        f"{_BACKSLASH}{{1,15}}".join(["", *(f"x{byte:02x}" for byte in utf8)]),
        f"{_BACKSLASH}{{1,15}}(?:U{code:08x}|x{code:02x}{_ESCAPES.get(character, '')})",
    ]
    coded = ["".join(f"{_PERCENT}{byte:02x}" for byte in utf8), _entity(character)]
    if character == " ":
        coded.append(r"\+")
    itself = own or re.escape(character)
    return f"(?:{_BACKSLASH}{{0,15}}(?:{itself}|(?i:{'|'.join(coded)}))|(?i:{'|'.join(escaped)}))"


def _entity(character: str) -> str:
    """Return a pattern for the ways in which HTML may write a character."""
    code = ord(character)
    named = f"|{_ENTITIES[character]}" if character in _ENTITIES else ""
    return f"&(?:amp;){{0,4}}(?:#0{{0,6}}{code}|#x0{{0,6}}{code:x}{named});"


def parts_of(secret: str) -> Iterator[str]:
    """Yield what is secret of a secret: it, its lines, the sensitive members of a JSON object."""
    yield secret
    lines = secret.replace("\r", "\n").split("\n")
    if len(lines) > 1:
        yield from (line.strip() for line in lines if not line.strip().startswith("-----"))
    if secret.lstrip()[:1] in {"{", "["}:
        try:
            data: Any = json.loads(secret)
        except (ValueError, RecursionError):
            return
        for member in _sensitive_members(data, sensitive=False):
            yield from parts_of(member)


def _sensitive_members(value: Any, *, sensitive: bool) -> Iterator[str]:
    match value:
        case str() if sensitive and len(value) >= ANY_CASE_FROM:
            yield value
        case dict():
            for name, member in cast("dict[str, Any]", value).items():
                named = sensitive or bool(_SENSITIVE.search(name))
                yield from _sensitive_members(member, sensitive=named)
        case list():
            for member in cast("list[Any]", value):
                yield from _sensitive_members(member, sensitive=sensitive)
        case _:
            pass


def spellings_of(part: str) -> Iterator[Spelling]:
    """Yield what to look for to find a secret; of a long one its pieces."""
    number = -(-len(part) // _LONGEST_PART)
    for n in range(number):
        piece = part[len(part) * n // number : len(part) * (n + 1) // number]
        yield Spelling(piece, any_case=len(piece) >= ANY_CASE_FROM)
        for written in _written(piece):
            data = written.encode("utf-8", "surrogatepass")
            yield Spelling(data.hex(), any_case=True)
            yield from _in_base64(data)


def _written(text: str) -> set[str]:
    """Return a text as it is encoded as a whole: as it is, or as a part of JSON, HTML, a URL."""
    found = {text}
    for _ in range(2):
        found |= {json.dumps(t, ensure_ascii=ascii)[1:-1] for t in found for ascii in (True, False)}
    for each in tuple(found):
        data = each.encode("utf-8", "surrogatepass")
        found |= {html.escape(each), quote(data), quote(data, safe="")}
    return found


def _in_base64(data: bytes) -> Iterator[Spelling]:
    """Yield what stands in base64 text for these bytes, wherever they begin in what is encoded."""
    for before in range(3):
        # Characters that also hold bits of the neighbours are left out on both sides.
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        piece = b64encode(b"\0" * before + data).decode()[first:last]
        if len(piece) >= _SHORTEST_PIECE:
            yield Spelling(piece, base64=True)
