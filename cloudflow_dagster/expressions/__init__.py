"""The expression language: `{{ … }}` in config strings, holding JSONata.

`parse_template` reads a config string and says what it refers to, without evaluating anything;
`render`, `evaluate` and `evaluate_condition` give values. The engine is loaded with the first
expression that needs it.
"""

from cloudflow_dagster.expressions.errors import ABSENT, Absent, ExpressionError
from cloudflow_dagster.expressions.evaluate import (
    evaluate,
    evaluate_condition,
    render,
    render_text,
)
from cloudflow_dagster.expressions.functions import function_names
from cloudflow_dagster.expressions.references import ROOTS, Read
from cloudflow_dagster.expressions.template import (
    Expression,
    Template,
    has_expression,
    parse_template,
)
from cloudflow_dagster.expressions.values import to_text, truthy

__all__ = [
    "ABSENT",
    "ROOTS",
    "Absent",
    "Expression",
    "ExpressionError",
    "Read",
    "Template",
    "evaluate",
    "evaluate_condition",
    "function_names",
    "has_expression",
    "parse_template",
    "render",
    "render_text",
    "to_text",
    "truthy",
]
