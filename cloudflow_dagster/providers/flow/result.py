"""What a flow gives back."""

from __future__ import annotations

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.spec import Behaviour, Repeat


@action(
    "flow.result",
    label="Result",
    icon="corner-down-left",
    category="flows",
    color=BLUE,
    behaviour=Behaviour.RESULT,
    repeat=Repeat.READ,
    secrets=False,
    fields=False,
)
def result(call: Call, *, value: Json) -> Json:
    """Sets what the flow returns to who called it: a flow, the command line, a webhook.

    Args:
        call: What surrounds the attempt.
        value: Any JSON, with expressions in it.
    """
    del call
    return value
