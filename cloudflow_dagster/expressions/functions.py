"""JSONata's own functions, for what is checked before anything runs.

Source: https://docs.jsonata.org/overview, signatures from the reference implementation
(https://github.com/jsonata-js/jsonata, `src/jsonata.js`). `$eval` is left out on purpose: text
never becomes an expression.
"""

from __future__ import annotations

import re
from typing import Final

SIGNATURES: Final = {
    "abs": "n-", "append": "xx", "assert": "bs?", "average": "a", "base64decode": "s-",
    "base64encode": "s-", "boolean": "x-", "ceil": "n-", "clone": "o-", "contains": "s-x",
    "count": "a", "decodeUrl": "s-", "decodeUrlComponent": "s-", "distinct": "x", "each": "o-f",
    "encodeUrl": "s-", "encodeUrlComponent": "s-", "error": "s?", "exists": "x", "filter": "af",
    "floor": "n-", "formatBase": "n-n?", "formatInteger": "n-s", "formatNumber": "n-so?",
    "fromMillis": "n-s?s?", "join": "as?", "keys": "x-", "length": "s-", "lookup": "x-s",
    "lowercase": "s-", "map": "af", "match": "s-fn?", "max": "a", "merge": "a", "millis": "",
    "min": "a", "not": "x-", "now": "s?s?", "number": "x-", "pad": "s-ns?", "parseInteger": "s-s",
    "power": "n-n", "random": "", "reduce": "afj?", "replace": "s-xxn?", "reverse": "a",
    "round": "n-n?", "shuffle": "a", "sift": "o-f?", "single": "af?", "sort": "af?",
    "split": "s-xn?", "spread": "x-", "sqrt": "n-", "string": "x-b?", "substring": "s-nn?",
    "substringAfter": "s-s", "substringBefore": "s-s", "sum": "a", "toMillis": "s-s?", "trim": "s-",
    "type": "x", "uppercase": "s-", "zip": "a",
}  # fmt: skip
"""Name without `$` → its parameters: a letter for the type (a array, b boolean, f function, j any
JSON, n number, o object, s string, x anything), `-` the context is taken if it is missing, `?` it
may be missing."""

ITEM_PARAMS: Final = {"map": (0,), "filter": (0,), "single": (0,), "sort": (0, 1), "reduce": (1,)}
"""Functions that hand the items of their first argument to a function → which of that function's
parameters they become."""

HIGHER_ORDER: Final = frozenset(
    [*ITEM_PARAMS, "each", "sift", "match", "contains", "replace", "split"]
)
"""Functions that call a function they are given, and keep none."""

_PARAM = re.compile(r"([a-z])([-?]?)")


def function_names() -> frozenset[str]:
    """Return the names, without `$`, of all functions an expression may call, `secret` included."""
    return frozenset([*SIGNATURES, "secret"])


def takes_context(name: str, arguments: int) -> bool:
    """Whether a call with so many arguments works on the context (`$string()`)."""
    params = _PARAM.findall(SIGNATURES.get(name, ""))
    needed = sum(mark != "?" for _, mark in params)
    return arguments < needed and any(mark == "-" for _, mark in params)
