"""Names in expressions that mean nothing."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.expressions.functions import SIGNATURES
from cloudflow_dagster.expressions.references import ROOTS

UNKNOWN_NAME = Rule(
    code="CF4002",
    title="An expression reads a name that does not exist",
    explanation=(
        "An expression can read `nodes.<id>`, `params`, `trigger`, `run`, `vars` and `input`, in a "
        "loop's body `item`, `index` and `loops.<id>`, and in `until` and `compensate` also "
        "`output`. All of them are variables too (`$nodes`, `$params`, …). What a node gave is "
        "`nodes.<id>`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform", "config": {"value": "{{ volumes.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
)
UNKNOWN_FUNCTION = Rule(
    code="CF4003",
    title="An expression uses a function or variable that does not exist",
    explanation=(
        "Functions are JSONata's own, such as `$count`, `$join` and `$now`, and `$secret`. "
        "Variables are those that the expression itself binds with `:=`, and the names that it "
        "can read with a `$` before them."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ $summ([1, 2]) }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ $sum([1, 2]) }}"}}
]}""",
)
EVAL = Rule(
    code="CF4004",
    title="An expression uses `$eval`",
    explanation=(
        "JSONata's `$eval` does not exist here: nothing but what stands in the flow is ever "
        "evaluated, so that what comes from outside stays data."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ $eval('1 + 1') }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ 1 + 1 }}"}}
]}""",
)


def check_expression_names(subject: Subject) -> None:
    """Report unknown names, functions and variables."""
    for text in subject.texts:
        for expression in text.expressions:
            for name, offset in expression.unknown:
                _report(subject, text, name, offset)


def _report(subject: Subject, text: Text, name: str, offset: int) -> None:
    at = text.place(offset)
    if name == "$eval":
        subject.found.add(EVAL, at, "`$eval` does not exist: nothing is evaluated twice.")
    elif name.startswith("$"):
        known = [f"${known}" for known in (*SIGNATURES, *ROOTS, "secret")]
        message = f"There is no function or variable `{shortened(name)}`."
        subject.found.add(UNKNOWN_FUNCTION, at, message, did_you_mean(name, known))
    else:
        message = f"There is no `{shortened(name)}` to read here."
        subject.found.add(UNKNOWN_NAME, at, message, _suggestion(subject, name))


def _suggestion(subject: Subject, name: str) -> str | None:
    graph = subject.graph
    if name in graph.vertices:
        return f"Did you mean `nodes.{name}`?"
    params = graph.flow.params or {}
    if name in (params.get("properties") or ()):
        return f"Did you mean `params.{name}`?"
    close = did_you_mean(name, ROOTS)
    return close or f"An expression can read {', '.join(f'`{known}`' for known in ROOTS[:6])}."
