"""JSON from JSON."""

from __future__ import annotations

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import action
from cloudflow_dagster.nodes.spec import Repeat


@action(
    "generic.transform",
    label="Transform",
    icon="braces",
    category="data",
    repeat=Repeat.READ,
    secrets=False,
    fields=False,
)
def transform(call: Call, *, value: Json) -> Json:
    """Makes a value of what earlier nodes gave, for the nodes that come after.

    Args:
        call: What surrounds the attempt.
        value: Any JSON, with expressions in it.
    """
    del call
    return value
