"""The JSONata engine (jsonatapy) in this process, and the text it is given.

An engine call takes the JSONata text, the scope as one object, and gives `{"v": value}`, or `{}`
for absent: the engine itself has `None` for both null and undefined. Errors come out as
`ExpressionError`. What must not be evaluated in this process goes through `sandbox.py`, with the
same text.

The engine's library (2.2.13, with the allocator mimalloc) keeps what all threads share in storage
that belongs to the thread that loaded it. Once that thread has ended, or in a child that another
thread forked, the next thread that uses it crashes the process. So it is loaded in the main thread
or not at all (`usable_here`); a test proves that this still is so.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cloudflow_dagster.expressions.errors import Code, ExpressionError

if TYPE_CHECKING:
    from jsonatapy import JsonataExpression

TIME_LIMIT: Final = 1.0
"""Seconds that one expression may take."""
STACK_LIMIT: Final = 500
SEQUENCE_LIMIT: Final = 10_000_000
"""Elements of a list that the engine makes in this process, where it cannot be much longer than
those that it reads."""
_LONGEST: Final = 300
_STARVED: Final = 10
"""How much longer an expression may take where its thread gets less than half of the time."""

_CODES: Final[dict[str, Code]] = {
    "D1011": "TooDeep",
    "U1001": "TooDeep",
    "U1002": "TooDeep",
    "D1012": "Timeout",
    "D2014": "TooLarge",
    "D2015": "TooLarge",
    "T1005": "UnknownName",
    "T1006": "UnknownName",
}
_MESSAGES: Final[dict[Code, str]] = {
    "TooDeep": "This expression calls itself too deep.",
    "Timeout": f"This expression took longer than {TIME_LIMIT:g} s.",
    "TooLarge": "This expression makes a list that is too long.",
}
_ERROR_CODE = re.compile(r"\b([A-Z][0-9]{4}): *")
_PREFIXES = ("Parse error: ", "Invalid syntax: ", "Argument error: ", "TypeError: ")

_FIND_FUNCTIONS = """
$cloudflow_is_function := function($x) {(
  $type($x) = "function" ? true
  : $type($x) = "array" ? $count($filter($x, $cloudflow_is_function)) > 0
  : $type($x) = "object" ? $count($filter($keys($x), function($k) {
      $cloudflow_is_function($lookup($x, $k))
    })) > 0
  : false
)};
"""
FUNCTION_FOUND: Final = "cloudflow: a function"


class _Home:
    """Where the engine was loaded."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.lost = False

    def load(self) -> None:
        """Load the engine, if this is the main thread and it has not been loaded elsewhere."""
        if self.thread is not None or self.lost:
            return
        if threading.current_thread() is not threading.main_thread():
            return
        if "jsonatapy" in sys.modules:
            self.lost = True  # nobody knows by which thread
            return
        import_module("jsonatapy")
        self.thread = threading.get_ident()

    def after_fork(self) -> None:
        """In the child only the thread that forked exists."""
        if self.thread is not None and self.thread != threading.get_ident():
            self.thread = None
            self.lost = True


_HOME = _Home()
_HOME.load()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOME.after_fork)


def usable_here() -> bool:
    """Whether the engine may be used in this process, by any of its threads.

    It may not if this module was first imported in a thread other than the main one, and the main
    one has not asked since. Everything works then too, in workers, but takes longer.
    """
    if _HOME.thread is None:
        _HOME.load()
    return _HOME.thread is not None


def engine_text(source: str, variables: tuple[str, ...], *, find_functions: bool) -> str:
    """Return the JSONata that gives `{"v": value}`, or `{}` where the value is absent.

    Args:
        source: What the author wrote.
        variables: Names of the scope that have to be made `$variables` first; what is small is
            better handed to the engine as variables.
        find_functions: Make a result that is or holds a function an error; else it is null.
    """
    bind = "".join(f"${name} := {name}; " for name in variables)
    if not find_functions:
        plain = f'{{"v": ({source}\n)}}'
        return f"({bind}{plain})" if bind else plain
    return (
        f"({bind}$cloudflow_value := ({source}\n);{_FIND_FUNCTIONS}"
        f'$cloudflow_is_function($cloudflow_value) ? $error("{FUNCTION_FOUND}")'
        ' : {"v": $cloudflow_value})'
    )


def compile_text(text: str, offset: int) -> JsonataExpression:
    """Compile JSONata. The result may only be used, and dropped, in the thread that made it.

    Only where `usable_here`.

    Raises:
        ExpressionError: It cannot be read.
    """
    import jsonatapy  # noqa: PLC0415 - see usable_here

    try:
        return jsonatapy.compile(text)
    except BaseException as error:
        raise engine_error(error, offset, "Syntax") from None


def call(
    held: Sequence[JsonataExpression], data: dict[str, Any], variables: dict[str, Any] | None = None
) -> Any:
    """Evaluate compiled JSONata in this thread; no other thread of Python goes on meanwhile.

    Args:
        held: The expression, in a list of which it is the only item: see `evaluate_here`.
        data: The scope.
        variables: What of it are variables too.

    Raises:
        ExpressionError: The evaluation failed, or came to a limit of the engine's.
    """
    began = time.thread_time()
    try:
        return _evaluate(held, data, variables, TIME_LIMIT)
    except BaseException as error:
        starved = time.thread_time() - began < TIME_LIMIT / 2
        # Kept in no name: it would hold the expression, which belongs to this thread.
        if not starved or engine_error(error, 0).code != "Timeout":
            raise engine_error(error.with_traceback(None), 0) from None
    # The engine counts the time that passes. This thread worked for little of it, because the
    # machine has more to do than it can: evaluating has no effects, so it may be done again.
    try:
        return _evaluate(held, data, variables, TIME_LIMIT * _STARVED)
    except BaseException as error:
        raise engine_error(error.with_traceback(None), 0) from None


def _evaluate(
    held: Sequence[JsonataExpression],
    data: dict[str, Any],
    variables: dict[str, Any] | None,
    seconds: float,
) -> Any:
    return held[0].evaluate(
        data,
        variables,
        timeout=round(seconds * 1000),
        max_stack_depth=STACK_LIMIT,
        max_sequence_length=SEQUENCE_LIMIT,
    )


def evaluate_here(
    text: str,
    data: dict[str, Any],
    variables: tuple[str, ...],
    secret: Callable[[str], str] | None,
    offset: int,
) -> Any:
    """Compile and evaluate JSONata with its secrets in this thread. Only where `usable_here`.

    It is compiled anew each time (some microseconds): the engine's objects are bound to a thread.

    Args:
        text: As `engine_text` gives it.
        data: The scope.
        variables: Names of the scope that are variables too.
        secret: Called when the expression reads a secret.
        offset: For errors.

    Raises:
        ExpressionError: The evaluation failed.
        Exception: What `secret` raised.
    """
    # The frames of an error that is raised here may be freed by another thread, and what they hold:
    # so no frame holds the expression but in this list, which is emptied in time, and those of the
    # engine's own errors are let go of (`call`).
    held = [compile_text(text, offset)]
    failed: list[BaseException] = []

    def refuse_eval(*_arguments: object) -> None:
        raise ExpressionError("`$eval` does not exist.", offset, "UnknownName")

    def fetch(name: object, *_rest: object) -> str:
        try:
            if secret is None or not isinstance(name, str):
                message = "A secret cannot be read here."
                raise ExpressionError(message, offset, "Secret")  # noqa: TRY301 - kept for below
            return secret(name)
        except BaseException as error:
            failed.append(error)
            raise

    try:
        held[0].register_override("eval", refuse_eval)
        held[0].register("secret", fetch)
        return call(held, data, {name: data[name] for name in variables if name in data})
    except ExpressionError as error:
        if failed:
            raise failed[0] from None
        error.offset = offset
        raise
    finally:
        held.clear()


def engine_error(error: BaseException, offset: int, code: Code = "Evaluation") -> ExpressionError:
    """Return an error of the engine's as one of ours, with a message for people.

    Raises:
        BaseException: It is none of the engine's (`KeyboardInterrupt`).
    """
    if isinstance(error, ExpressionError):
        return error
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error
    return error_from_text(str(error), offset, code)


def error_from_text(text: str, offset: int, code: Code = "Evaluation") -> ExpressionError:
    """Return the engine's error message as an error of ours."""
    if FUNCTION_FOUND in text:
        return ExpressionError("The result is a function, which is no JSON value.", offset)
    if "surrogates not allowed" in text:
        return ExpressionError("A text that it reads is not valid Unicode.", offset)
    found = _ERROR_CODE.search(text)
    if text.startswith(_PREFIXES[0]) or (found is not None and found[1].startswith("S")):
        code = "Syntax"
    if found is not None:
        code = _CODES.get(found[1], code)
        text = text[found.end() :]
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    if "Cannot convert Python object to JSON" in text:
        text = "A value that it reads is no JSON value"
    message = _MESSAGES.get(code) if found is not None else None
    text = text.strip().splitlines()[0] if text.strip() else "It failed without a reason"
    return ExpressionError(message or _sentence(text), offset, code)


def _sentence(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
