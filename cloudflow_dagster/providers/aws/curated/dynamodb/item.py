"""Items of DynamoDB's tables, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, cast

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.dynamodb.attributes import (
    from_attributes,
    to_attribute,
    to_attributes,
)
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Table = Annotated[str, one("name", "TableName"), ONE, Names("TableName")]
_KINDS = frozenset({"=", "<", "<=", ">", ">="})
Item: TypeAlias = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]


class Got(TypedDict):
    """An item, if it is there."""

    found: Annotated[bool, Field(description="Whether it is there.")]
    item: Annotated[Any, Field(description="The item, or null.")]


class Items(TypedDict):
    """Items of a table."""

    items: Annotated[list[Any], Field(description="The items, in the order of their sort key.")]
    count: Annotated[int, Field(description="How many.")]


class Done(TypedDict):
    """What was there before."""

    table: Annotated[str, Field(description="The table.")]
    before: Annotated[Any, Field(description="The item that was there, or null.")]


@aws_action(
    "aws.dynamodb.item.put",
    label="Put item",
    calls=("dynamodb.PutItem",),
    repeat=Repeat.SAFE,
    icon="table-2",
)
def put(aws: Operations, *, table: Table, item: Item) -> Done:
    """Stores an item in a table, in place of the one that has the same key.

    Args:
        aws: Carries out operations.
        table: Name of the table.
        item: Plain JSON; `{"base64": …}` is bytes.
    """
    answer = aws.ask(
        "dynamodb.PutItem", TableName=table, Item=to_attributes(item), ReturnValues="ALL_OLD"
    )
    return {"table": table, "before": _item(answer.get("Attributes"))}


@aws_action(
    "aws.dynamodb.item.get",
    label="Get item",
    calls=("dynamodb.GetItem",),
    repeat=Repeat.READ,
    icon="table-2",
)
def get(aws: Operations, *, table: Table, key: Item, consistent: bool = False) -> Got:
    """Reads an item of a table by its key.

    Args:
        aws: Carries out operations.
        table: Name of the table.
        key: The attributes of the key: `{"id": 7}`.
        consistent: Whether to see what was stored a moment ago, at twice the price.
    """
    answer = aws.ask(
        "dynamodb.GetItem",
        TableName=table,
        Key=to_attributes(key),
        ConsistentRead=consistent or None,
    )
    item = _item(answer.get("Item"))
    return {"found": item is not None, "item": item}


@aws_action(
    "aws.dynamodb.item.query",
    label="Query items",
    calls=("dynamodb.Query",),
    repeat=Repeat.READ,
    icon="search",
)
def query(
    aws: Operations,
    *,
    table: Table,
    where: Item,
    index: Annotated[str, Names("IndexName")] | None = None,
    newest_first: bool = False,
    at_most: Annotated[int, Field(ge=1)] | None = None,
) -> Items:
    """Finds items of a table by their partition key, and by their sort key if wanted; all pages.

    Args:
        aws: Carries out operations.
        table: Name of the table.
        where: `{"customer": 7}`, or with the sort key
            `{"customer": 7, "day": {"begins_with": "2026-"}}`. It may be compared with `=`, `<`,
            `<=`, `>`, `>=`, `between` (a list of two) and `begins_with`.
        index: Name of an index, if it is not the table's own key.
        newest_first: Whether the highest sort key comes first.
        at_most: How many; all if not given.
    """
    condition, names, values = _condition(where)
    asked: dict[str, Json] = {
        "TableName": table,
        "IndexName": index,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": not newest_first,
    }
    found: list[dict[str, Json]] = []
    start: Json = None
    while True:
        left = None if at_most is None else at_most - len(found)
        answer = aws.ask("dynamodb.Query", **asked, Limit=left, ExclusiveStartKey=start)
        found += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if not start or (at_most is not None and len(found) >= at_most):
            items = [from_attributes(each) for each in found]
            return {"items": items, "count": len(items)}


@aws_action(
    "aws.dynamodb.item.delete",
    label="Delete item",
    calls=("dynamodb.DeleteItem",),
    repeat=Repeat.SAFE,
    destructive="It deletes an item of a table.",
    icon="trash-2",
)
def delete(aws: Operations, *, table: Table, key: Item) -> Done:
    """Deletes an item of a table by its key; one that is not there is no error.

    Args:
        aws: Carries out operations.
        table: Name of the table.
        key: The attributes of the key: `{"id": 7}`.
    """
    answer = aws.ask(
        "dynamodb.DeleteItem", TableName=table, Key=to_attributes(key), ReturnValues="ALL_OLD"
    )
    return {"table": table, "before": _item(answer.get("Attributes"))}


def _item(found: dict[str, Json] | None) -> Json:
    return from_attributes(found) if found else None


def _condition(where: Mapping[str, Json]) -> tuple[str, dict[str, Json], dict[str, Json]]:
    parts: list[str] = []
    names: dict[str, Json] = {}
    values: dict[str, Json] = {}
    for n, (attribute, wanted) in enumerate(where.items()):
        names[f"#{n}"] = attribute
        kind, operands = _compared(attribute, wanted)
        marks = [f":{n}{i}" for i in range(len(operands))]
        values |= dict(zip(marks, map(to_attribute, operands), strict=True))
        if kind == "between":
            parts.append(f"#{n} BETWEEN {' AND '.join(marks)}")
        elif kind == "begins_with":
            parts.append(f"begins_with(#{n}, {marks[0]})")
        else:
            parts.append(f"#{n} {kind} {marks[0]}")
    return " AND ".join(parts), names, values


def _compared(attribute: str, wanted: Json) -> tuple[str, list[Json]]:
    if not isinstance(wanted, dict) or "base64" in wanted:
        return "=", [wanted]
    match list(cast("dict[str, Json]", wanted).items()):
        case [("between", [low, high])]:
            return "between", [low, high]
        case [("begins_with" as kind, str() as text)]:
            return kind, [text]
        case [(kind, operand)] if kind in _KINDS:
            return kind, [operand]
        case _:
            raise NodeError(
                "InvalidConfig",
                f"`where.{attribute}`: a key is compared with a value, or with one of `=`, `<`, "
                "`<=`, `>`, `>=`, `between` and `begins_with`.",
                transient=False,
            )
