"""Statements in SQL, through SQLAlchemy."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Multiline
from cloudflow_dagster.nodes.spec import Repeat

Values = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
_READS = re.compile(r"\s*select\b(?!.*\b(into|for\s+update)\b)", re.IGNORECASE | re.DOTALL)
_DESTROYS = re.compile(r"\s*(delete|drop|truncate)\b", re.IGNORECASE)


class Rows(TypedDict):
    """What a statement gave."""

    rows: Annotated[list[Any], Field(description="One object for each row.")]
    count: Annotated[int, Field(description="How many rows came back, or were changed.")]


def repeat_of(config: Mapping[str, Json]) -> Repeat:
    """A query may be asked again; whether anything else may, nobody knows."""
    return Repeat.READ if _READS.match(str(config.get("query"))) else Repeat.ASK


def destructive_of(config: Mapping[str, Json]) -> str | None:
    """Return what is harmful about a statement, if it is."""
    if _DESTROYS.match(str(config.get("query"))):
        return "It deletes rows, or whole tables."
    return None


@action(
    "generic.sql.query",
    label="SQL query",
    icon="database",
    category="data",
    repeat=Repeat.ASK,
    repeat_of=repeat_of,
    destructive_of=destructive_of,
    documentation="https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls",
)
def query(
    call: Call,
    *,
    database: Annotated[str, Field(min_length=1)],
    query: Annotated[Multiline, Field(min_length=1)],
    values: Values | None = None,
    at_most: Annotated[int, Field(ge=1, le=100_000)] = 10_000,
) -> Rows:
    """Carries out one statement in a database, in a transaction of its own.

    SQLite works as it is; for PostgreSQL, MySQL and others their driver must be installed. Write
    `:name` in the statement for what `values` gives: never put an expression into the statement.

    Args:
        call: What surrounds the attempt.
        database: `postgresql+psycopg2://user:password@host/name`, as a secret:
            `{{ $secret('shop_database') }}`.
        query: One statement.
        values: What stands for `:name` in it.
        at_most: How many rows; more are an error.
    """
    # 0.2 s, and only this node needs it.
    from sqlalchemy import create_engine, text  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    call.remaining(0)
    try:
        engine = create_engine(database, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise _unusable(error) from None
    try:
        with engine.begin() as connection:
            result = connection.execute(text(query), values or {})
            if not result.returns_rows:
                return {"rows": [], "count": max(0, result.rowcount)}
            found = result.mappings().fetchmany(at_most + 1)
            if len(found) > at_most:
                raise NodeError(
                    "TooManyRows",
                    f"The query gives more than {at_most} rows: limit it, or raise `at_most`.",
                    transient=False,
                )
            rows = [{name: _as_json(each) for name, each in row.items()} for row in found]
    except SQLAlchemyError as error:
        said = call.redact(str(getattr(error, "orig", None) or error)).partition("\n")[0]
        raise NodeError("SqlError", f"The database refused it: {said}", unsure=True) from None
    finally:
        engine.dispose()
    return {"rows": rows, "count": len(rows)}


def _unusable(error: Exception) -> NodeError:
    if isinstance(error, ImportError):
        text = f"The driver of this database is not installed: `pip install {error.name}`."
    else:
        text = "`database` is no address that SQLAlchemy knows: `postgresql+psycopg2://…`."
    return NodeError("InvalidConfig", text, transient=False)


def _as_json(value: Any) -> Json:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray():
            return {"base64": base64.b64encode(value).decode()}
        case None | bool() | int() | float() | str() | list() | dict():
            return value  # pyright: ignore[reportUnknownVariableType] - JSON of the database
        case _:
            return str(value)
