"""Regular expressions of JSON Schemas, matched in time that grows with the text and no faster."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text.

    Rust's engine does it, which never goes back and forth: `^(a+)+$` takes Python's for ever. What
    it does not know (looking ahead and behind, references to groups) Python's engine does.
    """
    judge = linear(pattern)
    return judge(text) if judge else re.search(pattern, text) is not None


@lru_cache(maxsize=4096)
def linear(pattern: str) -> Callable[[str], bool] | None:
    """Return a matcher on Rust's engine; None for what it does not know."""
    from pydantic_core import (  # noqa: PLC0415 - rarely needed
        SchemaError,
        SchemaValidator,
        core_schema,
    )

    try:
        validator = SchemaValidator(
            core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        )
    except SchemaError:
        return None
    return validator.isinstance_python
