"""What people call the things of AWS and what is done to them; `synonyms.txt` is the data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cloudflow_dagster.nodes.synonyms import FILE, Spoken, read_synonyms


@cache
def spoken() -> Spoken:
    """Return words that people say, and other words for what services are about."""
    return read_synonyms(Path(__file__).with_name(FILE))


def also_called(service: str) -> Sequence[str]:
    """Return other words for what a service is about.

    Args:
        service: botocore's name of it.
    """
    return spoken().about.get(service, ())
