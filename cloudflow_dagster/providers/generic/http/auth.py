"""How a request says who it is from."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import quote

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError

_FIELDS = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("name", "value"),
    "query": ("name", "value"),
}


class Auth(TypedDict):
    """Who the request is from."""

    type: Annotated[
        Literal["basic", "bearer", "header", "query"],
        Field(
            description="`basic` (username, password), `bearer` (token), `header` or `query` "
            "(name, value)."
        ),
    ]
    username: NotRequired[str]
    password: NotRequired[str]
    token: NotRequired[str]
    name: NotRequired[str]
    value: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is added to requests to the first host and to no other."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()


def auth_problem(auth: dict[str, Any]) -> str | None:
    """Say which field is missing or of no use, or None."""
    kind = auth.get("type")
    wanted = _FIELDS.get(kind) if isinstance(kind, str) else None
    if wanted is None:
        return None  # the schema says so, or it is an expression
    if missing := [name for name in wanted if name not in auth]:
        return f"`{kind}` needs `{missing[0]}`."
    if unused := [name for name in auth if name not in {"type", *wanted}]:
        return f"`{kind}` has no `{unused[0]}`."
    return None


def credentials_of(auth: Auth | None, call: Call) -> Credentials:
    """Return what to add to the request, and keep it out of logs and outputs.

    Raises:
        NodeError: A field is missing.
    """
    if auth is None:
        return Credentials()
    if problem := auth_problem(dict(auth)):
        raise NodeError("InvalidConfig", f"`auth`: {problem}", transient=False)
    given = {name: str(value) for name, value in auth.items()}
    if auth["type"] == "basic":
        return basic(given["username"], given["password"], call)
    if auth["type"] == "bearer":
        call.hide(given["token"])
        return Credentials(headers=(("Authorization", f"Bearer {given['token']}"),))
    call.hide(given["value"])
    pair = (given["name"], given["value"])
    if auth["type"] == "header":
        return Credentials(headers=(pair,))
    call.hide(quote(given["value"], safe=""))
    return Credentials(query=(pair,))


def basic(username: str, password: str, call: Call) -> Credentials:
    """Return the header of HTTP's basic authentication (RFC 7617)."""
    encoded = b64encode(f"{username}:{password}".encode()).decode()
    call.hide(encoded)
    if password:
        call.hide(password)
    return Credentials(headers=(("Authorization", f"Basic {encoded}"),))
