"""Expressions that cannot be read."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

BAD_SYNTAX = Rule(
    code="CF4001",
    title="An expression cannot be read",
    explanation=(
        "What stands between `{{` and `}}` is a JSONata expression. A literal `{{` is written "
        "`{{ '{{' }}`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ 1 + }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "sum", "type": "generic.transform", "config": {"value": "{{ 1 + 1 }}"}}
]}""",
)


def check_expression_syntax(subject: Subject) -> None:
    """Report texts that cannot be parsed, at the place in the text."""
    for text in subject.texts:
        if text.error is not None:
            sentence = str(text.error.message).rstrip(".")
            subject.found.add(BAD_SYNTAX, text.place(text.error.offset), f"{sentence}.")
