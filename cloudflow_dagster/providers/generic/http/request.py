"""HTTP requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.http.auth import Auth, auth_problem
from cloudflow_dagster.providers.generic.http.content import BODY_FIELDS, NOT_GIVEN
from cloudflow_dagster.providers.generic.http.paginate import Paginate, paginate_findings
from cloudflow_dagster.providers.generic.http.status import DEFAULT, expected_status

_SCALAR = {"type": ["string", "number", "boolean", "null"]}
Scalar = str | int | float | bool | None
Query = Annotated[
    dict[str, Scalar | list[Scalar]],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null", "array"],
                "items": _SCALAR,
            },
        }
    ),
]
Headers = Annotated[
    dict[str, Scalar], WithJsonSchema({"type": "object", "additionalProperties": _SCALAR})
]
Expect = Annotated[
    int | str | list[int | str],
    WithJsonSchema(
        {
            "type": ["integer", "string", "array"],
            "items": {"type": ["integer", "string"]},
        }
    ),
]
Body = Annotated[
    str | dict[Literal["base64", "file"], str],
    WithJsonSchema(
        {
            "type": ["string", "object"],
            "properties": {"base64": {"type": "string"}, "file": {"type": "string"}},
            "additionalProperties": False,
        }
    ),
]


class HttpResponse(TypedDict):
    """What came back."""

    status: Annotated[int, Field(description="The status code.")]
    headers: Annotated[
        dict[str, str], Field(description="By name in lower case; repeated ones joined by commas.")
    ]
    body: Annotated[
        Any, Field(description="JSON, text, or `{file}` for what is large; null if there is none.")
    ]


Findings = Iterator[tuple[tuple[str | int, ...], str]]


def check_request(config: Mapping[str, Json]) -> list[tuple[tuple[str | int, ...], str]]:
    """Find what the schema of the config cannot say."""
    return [*_url_findings(config), *_part_findings(config), *_paginate_findings(config)]


def _url_findings(config: Mapping[str, Json]) -> Findings:
    url = config.get("url")
    if isinstance(url, str) and not url.lower().lstrip().startswith(("http://", "https://", "{{")):
        yield ("url",), "A URL begins with `https://` or `http://`."


def _part_findings(config: Mapping[str, Json]) -> Findings:
    given = [name for name in BODY_FIELDS if name in config]
    for name in given[1:]:
        yield (name,), f"A request has one body; `{given[0]}` is given too."
    auth = config.get("auth")
    if isinstance(auth, dict) and (problem := auth_problem(cast("dict[str, Any]", auth))):
        yield ("auth",), problem
    expect = config.get("expect", DEFAULT)
    if "{{" not in str(expect):
        try:
            expected_status(expect)
        except ValueError as error:
            yield ("expect",), str(error)


def _paginate_findings(config: Mapping[str, Json]) -> Findings:
    paginate = config.get("paginate")
    if not isinstance(paginate, dict):
        return
    for name, text in paginate_findings(cast("dict[str, Any]", paginate)):
        yield ("paginate", name), text
    if config.get("response") in ("text", "file"):
        yield ("response",), "Pages are joined as JSON; leave `response` out."


_AGAIN: Mapping[str, Repeat] = {
    "GET": Repeat.READ,
    "HEAD": Repeat.READ,
    "OPTIONS": Repeat.READ,
    "PUT": Repeat.SAFE,
    "DELETE": Repeat.SAFE,
}
"""By HTTP's own meaning of the methods."""


def repeat_of(config: Mapping[str, Json]) -> Repeat:
    """Return what is done about an interrupted request."""
    known = _AGAIN.get(str(config.get("method", "GET")))
    if known is not None:
        return known
    return Repeat.TOKEN if config.get("idempotency_header") else Repeat.ASK


def destructive_of(config: Mapping[str, Json]) -> str | None:
    """Return what is harmful about a request, if it is."""
    return "It sends a DELETE." if config.get("method") == "DELETE" else None


@action(
    "generic.http.request",
    label="HTTP request",
    icon="globe",
    category="web",
    color=BLUE,
    fields=False,
    destructive_of=destructive_of,
    repeat=Repeat.ASK,
    repeat_of=repeat_of,
    check=check_request,
)
def request(
    call: Call,
    *,
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET",
    url: Annotated[str, Field(min_length=1)],
    query: Query | None = None,
    headers: Headers | None = None,
    json: Json = NOT_GIVEN,
    form: Query | None = None,
    body: Body | None = None,
    auth: Auth | None = None,
    idempotency_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None,
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30,
    expect: Expect = DEFAULT,
    paginate: Paginate | None = None,
    response: Literal["auto", "json", "text", "file"] = "auto",
) -> HttpResponse:
    """Sends a request to a web address and gives the answer.

    Redirects are followed up to ten times. A status that is not expected is an error with the code
    `HttpStatus`, which is worth another attempt for 408, 425, 429 and 5xx. Link-local and metadata
    addresses are refused, and private ones where the project says so.

    Args:
        call: What surrounds the attempt.
        method: What to do there.
        url: Address, beginning with `https://` or `http://`.
        query: Parameters added to the address; a list sends its name once for each value.
        headers: Header fields.
        json: Any JSON, sent as the body.
        form: Fields of a form, sent as the body.
        body: Text sent as the body, or `{"base64": …}`, or `{"file": …}` with a file that an
            earlier node of the run gave.
        idempotency_header: Name of the header in which the server takes an idempotency key, such as
            `Idempotency-Key`. The key is the same whenever this very request is repeated, so that
            the server carries it out once.
        auth: Who the request is from; sent to no other host than the URL's.
        timeout: Seconds for one request, to the last byte of its answer.
        expect: Status codes that are no errors: `200`, `"200-299"`, `"2xx"`, or a list of such. A
            redirect whose code stands here by itself is not followed.
        paginate: Gets all pages and gives their items as one list in `body`.
        response: `auto` reads JSON where the answer says that it is, else text (bytes that are no
            text as `{"base64"}`), and stores what is over 256 kB as `{"file"}`; the others insist.
    """
    from cloudflow_dagster.providers.generic.http.perform import (  # noqa: PLC0415 - httpx: 140 ms
        Asked,
        perform,
    )

    try:
        expected = expected_status(expect)
    except ValueError as error:
        raise NodeError("InvalidConfig", f"`expect`: {error}", transient=False) from None
    fields = {"json": json, "form": form, "body": body}
    asked = Asked(
        method=method,
        url=url,
        query=query or {},
        headers=_with_key(call, headers or {}, idempotency_header),
        content={k: v for k, v in fields.items() if v is not NOT_GIVEN and (k == "json" or v)},
        auth=auth,
        timeout=timeout,
        expect=expected,
        paginate=paginate,
        response=response,
    )
    return cast("HttpResponse", perform(call, asked))


def _with_key(call: Call, headers: Mapping[str, Json], name: str | None) -> Mapping[str, Json]:
    """Return the headers with the idempotency key, if the author wrote none himself."""
    if name is None or name.lower() in {given.lower() for given in headers}:
        return headers
    return {**headers, name: str(UUID(hex=call.token[:32], version=4))}
