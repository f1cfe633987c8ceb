"""Packs the source of a function as Lambda takes it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from io import BytesIO

_SUFFIXES = {"python": ".py", "nodejs": ".mjs", "ruby": ".rb"}


def packed(code: str, runtime: str, handler: str) -> bytes:
    """Return an archive of one file; the same code always makes the same bytes.

    Args:
        code: The source of the one module.
        runtime: `python3.13`, …
        handler: Name of the module and the function in it: `index.handler`.
    """
    language = runtime.rstrip("0123456789.x")
    name = handler.partition(".")[0] + _SUFFIXES.get(language, "")
    archive = BytesIO()
    # Not compressed: another version of zlib would make other bytes of it.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        file.writestr(entry, code)
    return archive.getvalue()


def checksum(archive: bytes) -> str:
    """Return what Lambda calls the `CodeSha256` of an archive."""
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()
