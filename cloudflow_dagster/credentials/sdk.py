"""Imports the SDKs of clouds that are extras of this package."""

from __future__ import annotations

import importlib
from typing import Any

from cloudflow_dagster.credentials.errors import CredentialError


def need(module: str, extra: str) -> Any:
    """Import a module of a cloud's SDK when it is first used.

    Raises:
        CredentialError: It is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CredentialError(
            "NotInstalled",
            f"The Python package with `{error.name or module}` is not installed.",
            f"Install it: `pip install 'cloudflow-dagster[{extra}]'`.",
        ) from None
