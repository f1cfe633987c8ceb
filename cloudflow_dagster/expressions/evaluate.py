"""Evaluates expressions: values, texts and conditions of a node's config."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from cloudflow_dagster.expressions.cost import Size
from cloudflow_dagster.expressions.engine import engine_text
from cloudflow_dagster.expressions.errors import ABSENT, Absent, ExpressionError
from cloudflow_dagster.expressions.integers import (
    TABLE_NAME,
    Integers,
    with_exact_text,
)
from cloudflow_dagster.expressions.places import evaluate_text
from cloudflow_dagster.expressions.scope import Scope, field_of, root_value, survey, take, weigh
from cloudflow_dagster.expressions.template import (
    Expression,
    Template,
    has_expression,
    parse_template,
)
from cloudflow_dagster.expressions.values import EXACT, Json, follow, to_text, truthy

Secret = Callable[[str], str]

MAX_DEPTH: Final = 200
"""How deep a config value may be nested."""
_CHEAP: Final = 2_000_000
"""The largest bound, in values, up to which an expression is evaluated in this process."""
_FEW: Final = 1000
_COMPARISONS: Final = 100_000_000
"""So many comparisons take the engine, which does not stop before the last, half a second."""
_SMALL: Final = 100_000
"""Up to this size what is read is handed over as variables, which are converted as a whole."""
_PROPORTIONAL: Final = 8
"""A value that is at most so many times what was read is never too large."""


def evaluate(expression: Expression, scope: Scope, secret: Secret | None = None) -> Json | Absent:
    """Evaluate one expression.

    Safe to be called from any thread. The result may share parts with the scope: change neither.
    A whole number comes out as an int, whether it was written `1` or `1.0`; inside objects and
    arrays that are passed on numbers may stay as they are.

    Args:
        expression: As `parse_template` gives it.
        scope: Root name → value, or a function without parameters, called only if it is read.
        secret: Gives a secret's value by its name; called only when the expression reads one.

    Returns:
        JSON, or `ABSENT`.

    Raises:
        ExpressionError: It failed, or came to a limit; `offset` is where the expression begins.
        Exception: What `secret` or a function of the scope raised.
    """
    if expression.direct is not None:
        return _tidy(_follow_scope(scope, expression.direct))
    _refuse(expression)
    if expression.only_secret is not None:
        return _fetch(expression.only_secret, secret, expression.offset)
    fetched: list[str] = []
    try:
        return _tidy(_run(expression, scope, _noting(secret, fetched)))
    except ExpressionError as error:
        error.offset = expression.offset
        for value in fetched:
            error.hide(value)
        raise
    except RecursionError:
        message = "A value that it reads or gives is nested too deep."
        raise ExpressionError(message, expression.offset, "TooDeep") from None


def _refuse(expression: Expression) -> None:
    for name, offset in expression.unknown:
        if name == "$eval":
            message = "`$eval` does not exist: text is never an expression."
            raise ExpressionError(message, offset, "UnknownName")
    for name, offset in expression.secrets:
        if name is None:
            message = "`$secret` takes one name, written as a text: `$secret('name')`."
            raise ExpressionError(message, offset, "Secret")


def _fetch(name: str, secret: Secret | None, offset: int) -> str:
    if secret is None:
        raise ExpressionError("A secret cannot be read here.", offset, "Secret")
    return secret(name)


def _noting(secret: Secret | None, fetched: list[str]) -> Secret | None:
    if secret is None:
        return None

    def fetch(name: str) -> str:
        value = secret(name)
        fetched.append(value)
        return value

    return fetch


def _follow_scope(scope: Scope, path: tuple[str | int, ...]) -> Json | Absent:
    """A plain path is looked up without the engine."""
    value = root_value(scope, str(path[0]))
    steps = path[1:]
    if type(value) is not dict and isinstance(value, Mapping):
        mapping = cast("Mapping[str, Json]", value)
        if not steps or not isinstance(steps[0], str):
            value = take({str(path[0]): cast("Json", value)}, {str(path[0]): None})[str(path[0])]
        else:
            value, steps = field_of(mapping, steps[0]), steps[1:]
    if value is ABSENT:
        return ABSENT
    return follow(value, steps)


def _run(expression: Expression, scope: Scope, secret: Secret | None) -> Json | Absent:
    data = take(scope, expression.needs)
    size, large = weigh(data)
    source = expression.source
    integers = None
    if large or expression.large_literals:
        integers = Integers(expression.large_literals)
        data = integers.encode(data)
        if expression.cost.concatenates:
            data[TABLE_NAME] = integers.texts()
            source = with_exact_text(source, expression.offset, expression.tree)
    handed = expression.variables if size <= _SMALL else ()
    text = engine_text(
        source,
        () if handed else expression.variables,
        find_functions=expression.cost.makes_functions,
    )
    cheap = _is_cheap(expression, data, size)
    result = evaluate_text(text, data, handed, secret, expression.offset, cheap=cheap)
    value = result.get("v", ABSENT)
    if expression.cost.calculates:
        _check_finite(value)
    return value if integers is None else integers.decode(value)


def _is_cheap(expression: Expression, data: dict[str, Json], size: int) -> bool:
    """Whether the bound on what it costs is small, for these values."""
    bound = expression.cost.bound
    if bound is None or _compares_much(expression, data):
        return False
    if bound.degree + bound.repeated <= 1 and bound.factor <= _PROPORTIONAL:
        return True
    repeated: list[Json] = []
    if bound.repeated:
        found = [follow(data, path) for path in expression.cost.repeated]
        repeated = [value for value in found if value is not ABSENT]
    again = weigh(repeated)[0]
    if again <= _FEW:
        again = survey(repeated)[0]
    if _largest(bound, size, again) <= _CHEAP:
        return True
    return _largest(bound, survey(data)[0], survey(repeated)[0]) <= _CHEAP


def _compares_much(expression: Expression, data: dict[str, Json]) -> bool:
    cost = expression.cost
    if not cost.comparisons:
        return False
    found = [follow(data, path) for path in cost.repeated]
    again = survey([value for value in found if value is not ABSENT])[0]
    size = survey(data)[0]
    return any(_largest(bound, size, again) > _COMPARISONS for bound in cost.comparisons)


def _largest(bound: Size, size: int, again: int) -> float:
    return bound.factor * float(size + 1) ** bound.degree * float(again + 1) ** bound.repeated


def _check_finite(value: Json) -> None:
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise ExpressionError("The result is not a finite number.")
        if isinstance(part, dict):
            waiting.extend(cast("dict[str, Json]", part).values())
        elif isinstance(part, list):
            waiting.extend(cast("list[Json]", part))


def _tidy(value: Json) -> Json:
    if type(value) is float and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    return value


def render(value: Json, scope: Scope, secret: Secret | None = None) -> Json | Absent:
    """Return a config value with all its expressions evaluated.

    A string that is nothing but one expression becomes its value; what is absent leaves out an
    object's field, is dropped from an array and is empty in text.

    Raises:
        ExpressionError: An expression cannot be read, or failed.
    """
    return _render(value, scope, secret, MAX_DEPTH)


def _render(value: Json, scope: Scope, secret: Secret | None, depth: int) -> Json | Absent:
    if isinstance(value, str):
        if not has_expression(value):
            return value
        template = parse_template(value)
        if template.whole is not None:
            return evaluate(template.whole, scope, secret)
        return render_text(template, scope, secret)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        message = f"This value is nested deeper than {MAX_DEPTH} levels."
        raise ExpressionError(message, code="TooDeep")
    if isinstance(value, dict):
        fields = [
            (name, _render(part, scope, secret, depth - 1))
            for name, part in cast("dict[str, Json]", value).items()
        ]
        return {name: part for name, part in fields if part is not ABSENT}
    items = [_render(part, scope, secret, depth - 1) for part in cast("list[Json]", value)]
    return [part for part in items if part is not ABSENT]


def render_text(template: Template | str, scope: Scope, secret: Secret | None = None) -> str:
    """Return a config string as text, with the values of its expressions put in.

    Raises:
        ExpressionError: An expression cannot be read, or failed.
    """
    template = parse_template(template) if isinstance(template, str) else template
    texts: list[str] = []
    for part in template.parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        try:
            texts.append(to_text(evaluate(part, scope, secret)))
        except ExpressionError as error:
            error.offset = error.offset or part.offset
            raise
    return "".join(texts)


def evaluate_condition(condition: Json, scope: Scope, secret: Secret | None = None) -> bool:
    """Return whether a condition of a config holds.

    Args:
        condition: An expression, whose value goes through `$boolean`; a text with expressions in
            it, which holds unless it comes out empty; or a literal.
        scope: As for `evaluate`.
        secret: As for `evaluate`.

    Raises:
        ExpressionError: An expression cannot be read, or failed.
    """
    return truthy(render(condition, scope, secret))
