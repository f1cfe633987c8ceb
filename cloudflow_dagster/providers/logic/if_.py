"""Two ways."""

from __future__ import annotations

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import condition
from cloudflow_dagster.nodes.fields import Condition
from cloudflow_dagster.nodes.spec import Chosen


@condition("logic.if", label="If", icon="split", ports=("true", "false"))
def if_(call: Call, *, condition: Condition) -> Chosen:
    """Goes on at `true` or at `false`.

    Args:
        call: What surrounds the attempt.
        condition: An expression; whatever `$boolean` calls true goes on at `true`.
    """
    holds = condition()
    call.log.info(f"The condition {'holds' if holds else 'does not hold'}.")
    return Chosen("true" if holds else "false")
