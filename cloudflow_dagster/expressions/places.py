"""Decides in which process the engine works, and lets it check what it will be given later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudflow_dagster.expressions.engine import (
    compile_text,
    engine_text,
    evaluate_here,
    usable_here,
)
from cloudflow_dagster.expressions.errors import ExpressionError


def evaluate_text(
    text: str,
    data: dict[str, Any],
    variables: tuple[str, ...],
    secret: Callable[[str], str] | None,
    offset: int,
    *,
    cheap: bool,
) -> Any:
    """Evaluate JSONata, in this process if that is safe.

    Args:
        text: As `engine_text` gives it.
        data: The scope.
        variables: Names of the scope that are variables too.
        secret: Called, in this thread, when the expression reads a secret.
        offset: For errors.
        cheap: It is known to take little memory and time.

    Raises:
        ExpressionError: The evaluation failed or came to a limit.
        Exception: What `secret` raised.
    """
    if cheap and usable_here():
        return evaluate_here(text, data, variables, secret, offset)
    from cloudflow_dagster.expressions.sandbox import (  # noqa: PLC0415 - costs 15 ms
        evaluate_apart,
    )

    return evaluate_apart(text, data, variables, secret, offset)


def check_syntax(source: str, offset: int) -> None:
    """Let the engine read an expression too: what it refuses must not wait for a run.

    Raises:
        ExpressionError: The engine's parser refuses it.
    """
    if usable_here():
        compile_text(source, offset)
    else:
        text = engine_text(f"false and ({source}\n)", (), find_functions=False)
        evaluate_text(text, {}, (), None, offset, cheap=True)


def check_regex(pattern: str, flags: str, offset: int) -> None:
    """Let the engine make a regular expression, which it else does only when it is used.

    Raises:
        ExpressionError: It cannot be used.
    """
    text = engine_text(f'$contains("", /{pattern}/{flags})', (), find_functions=False)
    try:
        evaluate_text(text, {}, (), None, offset, cheap=True)
    except ExpressionError:
        raise ExpressionError(
            "This regular expression cannot be used. Look-around and back references do not exist"
            " here.",
            offset,
            "Syntax",
        ) from None
