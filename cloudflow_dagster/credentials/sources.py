"""Reads values from environment variables and files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cloudflow_dagster.credentials.errors import SecretError
from cloudflow_dagster.diagnostics.model import did_you_mean

MAX_FILE_BYTES = 64 * 1024
"""A secret is a word or a key file; what is larger is the wrong file."""


def read_environment(variable: str) -> str:
    """Return the value of an environment variable.

    Raises:
        SecretError: It is not set, or empty.
    """
    value = os.environ.get(variable)
    if value:
        return value
    state = "is not set" if value is None else "is set, but empty"
    close = did_you_mean(variable, os.environ) if value is None else None
    raise SecretError(
        "NoSuchVariable",
        f"The environment variable `{variable}` {state}.",
        f"{close + ' ' if close else ''}Set it where the flow runs: `export {variable}=…`.",
    )


def read_file(name: str, root: Path) -> str:
    """Return the text of a file without its trailing newline.

    Args:
        name: Path relative to the project's folder; `~` is the home folder.
        root: The project's folder.

    Raises:
        SecretError: There is no such file, or it is not a text of a secret's size.
    """
    path = root / Path(name).expanduser()
    try:
        # Anything but a regular file could block for ever, or never end.
        if path.exists() and not path.is_file():
            raise SecretError(
                "UnreadableFile", f"`{path}` is not a file.", "Name a file that holds the value."
            )
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise SecretError(
            "NoSuchFile",
            f"There is no file `{path}`.",
            "Create it, or correct the path in `cloudflow.yaml`; it is relative to that file.",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its path is not one"
        raise SecretError(
            "UnreadableFile",
            f"The file `{path}` cannot be read: {reason}.",
            "Let the user that runs the flow read it (`chmod`, `chown`).",
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise SecretError(
            "TooLarge",
            f"The file `{path}` is larger than {MAX_FILE_BYTES // 1024} kB.",
            "Name a file that holds nothing but the secret.",
        )
    text = as_text(content, f"The file `{path}`")
    if not text:
        raise SecretError(
            "EmptySecret", f"The file `{path}` is empty.", "Write the secret's value into it."
        )
    return text


def as_text(content: bytes, what: str) -> str:
    """Return bytes as text without a trailing newline.

    Raises:
        SecretError: They are not UTF-8.
    """
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretError(
            "NotText", f"{what} is not UTF-8 text.", "Store the value as text (base64, say)."
        ) from None


def pick_member(text: str, key: str, what: str) -> str:
    """Return a member of a JSON object as text: a string as it is, any other value as JSON.

    Raises:
        SecretError: The text is no JSON object, or has no such member.
    """
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise SecretError(
            "NotJson",
            f"{what} is not a JSON object, so it has no member `{key}`.",
            "Leave out `json_key` to use the whole text.",
        )
    members: dict[str, Any] = data  # pyright: ignore[reportUnknownVariableType] - JSON keys are text
    if key not in members:
        # Only the names of the members are told; they are no secret.
        close = did_you_mean(key, members)
        known = ", ".join(f"`{m}`" for m in sorted(members)[:10]) or "none"
        raise SecretError(
            "NoSuchMember",
            f"{what} has no member `{key}`.",
            close or f"Its members are: {known}.",
        )
    value = members[key]
    return value if isinstance(value, str) else json.dumps(value)
