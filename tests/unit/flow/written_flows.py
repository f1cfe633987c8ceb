"""Hypothesis strategies for flows, and a writer of JSON that knows where it put every value."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
"""For tests that may run on a busy machine."""

ids = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,5})?", fullmatch=True)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(text, json_values, max_size=2)
seconds = st.floats(0.5, 1_000) | st.integers(1, 1_000)
retries = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 100),
        "delay": seconds,
        "backoff": st.sampled_from(["constant", "linear", "exponential"]),
        "jitter": st.sampled_from(["none", "full", "plus_minus"]),
        "on": st.none() | st.lists(text, max_size=3),
    },
)
node_fields: dict[str, st.SearchStrategy[Any]] = {
    "label": text,
    "notes": st.none() | text,
    "position": st.fixed_dictionaries({"x": numbers, "y": st.integers(-9, 9)}),
    "parent": ids,
    "config": objects,
    "credential": text,
    "region": text,
    "retry": retries,
    "timeout": seconds,
    "until": st.fixed_dictionaries({"condition": text}, optional={"interval": seconds}),
    "on_error": st.sampled_from(["fail", "continue"]),
    "compensate": st.fixed_dictionaries({"type": text}, optional={"config": objects}),
    "pin": json_values,
    "disabled": st.booleans(),
}
flow_fields: dict[str, st.SearchStrategy[Any]] = {
    "$schema": text,
    "id": ids,
    "name": text,
    "description": text,
    "tags": st.lists(text, max_size=3) | st.dictionaries(text, text, max_size=3),
    "mode": st.sampled_from(["workflow", "architecture"]),
    # Made anew each time: some tests damage the flows that they get.
    "params": st.builds(
        lambda: {
            "type": "object",
            "properties": {"b": {"type": "integer", "default": 2}, "a": {}},
        }
    ),
    "concurrency": st.fixed_dictionaries(
        {}, optional={"limit": st.integers(1, 9), "key": text, "when_full": st.just("skip")}
    ),
    "timeout": seconds,
    "on_failure": ids,
    "on_failure_compensate": st.booleans(),
}


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    """A flow of the right shape, with its keys, nodes and edges in any order."""
    names = draw(st.lists(ids, max_size=4, unique=True))
    nodes = [
        draw(
            st.fixed_dictionaries(
                {"type": text, "id": st.just(name)}, optional=node_fields
            ).flatmap(_in_any_order)
        )
        for name in names
    ]
    ends = st.sampled_from([*names, "elsewhere"])
    edges = draw(
        st.lists(
            st.fixed_dictionaries(
                {"target": ends, "source": ends},
                optional={"source_port": text, "target_port": text, "disabled": st.booleans()},
            ),
            max_size=5,
        )
    )
    flow = draw(
        st.fixed_dictionaries(
            {"nodes": st.just(nodes), "version": st.just(1)},
            optional={**flow_fields, "edges": st.just(edges)},
        )
    )
    return draw(_in_any_order(flow))


def _in_any_order(value: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.permutations(list(value.items())).map(dict)


class Writer:
    """Writes JSON with random space and escapes, and notes where everything stands.

    Attributes:
        written: The pieces of the text.
        values: Offset of each value, by its path.
        keys: Offset of each key, by the path of its value.
        characters: Offsets of the characters of each text, and of its closing quote.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.written: list[str] = []
        self.length = 0
        self.values: dict[tuple[str | int, ...], int] = {}
        self.keys: dict[tuple[str | int, ...], int] = {}
        self.characters: dict[tuple[str | int, ...], list[int]] = {}

    def write(self, value: Any, path: tuple[str | int, ...] = ()) -> str:
        """Write a whole document."""
        self._space()
        self._value(value, path)
        self._space()
        return "".join(self.written)

    def _put(self, text: str) -> None:
        self.written.append(text)
        self.length += len(text)

    def _space(self) -> None:
        self._put(
            "".join(self.random.choice(" \n\t\r") for _ in range(self.random.choice([0, 0, 1, 3])))
        )

    def _value(self, value: Any, path: tuple[str | int, ...]) -> None:
        self.values[path] = self.length
        if isinstance(value, dict):
            self._put("{")
            self._space()
            for index, (key, child) in enumerate(value.items()):
                if index:
                    self._put(",")
                    self._space()
                self.keys[*path, key] = self.length
                self._text(key)
                self._space()
                self._put(":")
                self._space()
                self._value(child, (*path, key))
                self._space()
            self._put("}")
        elif isinstance(value, list):
            self._put("[")
            self._space()
            for index, child in enumerate(value):
                if index:
                    self._put(",")
                    self._space()
                self._value(child, (*path, index))
                self._space()
            self._put("]")
        elif isinstance(value, str):
            self.characters[path] = self._text(value)
        else:
            self._put(json.dumps(value))

    def _text(self, text: str) -> list[int]:
        """Write a text and return where its characters are, and its closing quote."""
        self._put('"')
        places: list[int] = []
        for character in text:
            places.append(self.length)
            escaped = json.dumps(character)[1:-1]
            plain_is_fine = character not in '"\\' and ord(character) >= 0x20
            self._put(character if plain_is_fine and self.random.random() < 0.6 else escaped)
        places.append(self.length)
        self._put('"')
        return places
