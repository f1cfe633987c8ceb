"""Expressions over an answer, which are evaluated after it came."""

from __future__ import annotations

from cloudflow_dagster.expressions.errors import ABSENT, ExpressionError
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError


def find(text: str, answer: dict[str, Json]) -> Json:
    """Evaluate a JSONata expression over `{status, headers, body}`; None if it finds nothing.

    Raises:
        NodeError: It cannot be evaluated.
    """
    from cloudflow_dagster.expressions.evaluate import evaluate  # noqa: PLC0415 - loads an engine
    from cloudflow_dagster.expressions.template import parse_template  # noqa: PLC0415 - the same

    if problem := find_problem(text):
        raise NodeError("InvalidPaging", f"`{text}`: {problem}", transient=False)
    expression = parse_template(_in_braces(text)).whole
    try:
        value = evaluate(expression, {"output": answer}) if expression else None
    except ExpressionError as error:
        raise NodeError("InvalidPaging", f"`{text}`: {error.message}", transient=False) from error
    return None if value is ABSENT else value


def find_problem(text: str) -> str | None:
    """Say why a text is no expression, or None."""
    from cloudflow_dagster.expressions.template import parse_template  # noqa: PLC0415 - as above

    try:
        template = parse_template(_in_braces(text))
    except ExpressionError as error:
        return error.message
    return None if template.whole else "It is not one expression."


def _in_braces(text: str) -> str:
    """Return a template whose names are those of the answer.

    The answer is the element of a step, so that `body.next` finds what `output.body.next` is.
    """
    bare = text.strip()
    if bare.startswith("{{") and bare.endswith("}}"):
        bare = bare[2:-2]
    return f"{{{{ output.({bare}) }}}}"
