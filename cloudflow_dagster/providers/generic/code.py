"""Python code."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Annotated

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import MULTILINE, LiteralText
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.sandbox.process import run_code


def check_code(config: Mapping[str, Json]) -> list[tuple[tuple[str | int, ...], str]]:
    """Find code that is no Python or has no `main(inputs)`. Nothing is executed."""
    code = config.get("code")
    if not isinstance(code, str):
        return []
    problem = _problem(code)
    return [(("code",), problem)] if problem else []


def _problem(code: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except SyntaxError as error:
        return f"Line {error.lineno}: {error.msg}."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"This cannot be read as Python: {error or type(error).__name__}."
    mains = [
        part
        for part in tree.body
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and part.name == "main"
    ]
    if not mains:
        return "There is no function `main(inputs)`."
    return _signature_problem(mains[-1])


def _signature_problem(main: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    if isinstance(main, ast.AsyncFunctionDef):
        return f"Line {main.lineno}: `main` is asynchronous; it must be a plain function."
    positional = len(main.args.posonlyargs) + len(main.args.args)
    needed = positional - len(main.args.defaults)
    one_fits = needed <= 1 and (positional >= 1 or main.args.vararg is not None)
    if one_fits and all(main.args.kw_defaults):
        return None
    return f"Line {main.lineno}: `main` is called with one argument, `main(inputs)`."


@action(
    "generic.code",
    label="Python code",
    icon="code",
    category="data",
    repeat=Repeat.READ,
    secrets=False,
    fields=False,
    check=check_code,
)
def code(call: Call, *, code: Annotated[LiteralText, MULTILINE], inputs: Json = None) -> Json:
    """Runs Python in a process of its own and gives what its function `main(inputs)` returns.

    The process has none of the run's credentials and environment, no network, no files but Python's
    own and an empty folder, 512 MB of memory, and the node's `timeout`, or 60 s. What it prints is
    in the step's log.

    Args:
        call: What surrounds the attempt.
        code: Python with a function `main(inputs)`. `{{` means nothing in it.
        inputs: Any JSON, with expressions in it; what `main` is called with.
    """
    if not call.settings.code_nodes:
        raise NodeError(
            "CodeNotAllowed",
            "This project does not run code: its `cloudflow.yaml` sets `code_nodes` to false.",
            transient=False,
        )
    if problem := _problem(code):
        raise NodeError("CodeError", problem, transient=False)
    return run_code(call, code, inputs)
