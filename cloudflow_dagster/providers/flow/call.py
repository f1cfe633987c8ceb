"""Running another flow."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.spec import Behaviour, Repeat


@action(
    "flow.call",
    label="Call a flow",
    icon="workflow",
    category="flows",
    color=BLUE,
    behaviour=Behaviour.CALL,
    repeat=Repeat.SAFE,
    secrets=False,
    fields=False,
)
def call_flow(
    call: Call,
    *,
    flow: Annotated[str, Field(min_length=1)],
    params: dict[str, Any] | None = None,
    max_depth: Annotated[int, Field(ge=1, le=1000)] | None = None,
) -> Json:
    """Runs another flow of the project as a child run and gives its result.

    Args:
        call: What surrounds the attempt.
        flow: Id of the flow.
        params: The flow's params; those that are not given have their defaults.
        max_depth: How many runs of a flow that reaches itself may be inside each other. Without
            it a flow may not reach itself.
    """
    return call.run_flow(flow, params or {}, max_depth)
