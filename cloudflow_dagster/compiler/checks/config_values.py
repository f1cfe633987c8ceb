"""Config that does not fit what its node type asks for."""

from __future__ import annotations

from cloudflow_dagster.compiler.fitting import Misfit
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

WRONG_VALUE = Rule(
    code="CF3001",
    title="A config field has a value that does not fit",
    explanation=(
        "Every node type says which values the fields of its `config` take: their types, ranges, "
        "lengths and choices. `cloudflow nodes show TYPE` lists them. A text with an expression "
        "stands for whatever it will be when the node runs."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2], "concurrency": "10"}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}}
], "edges": [{"source": "each", "target": "work"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2], "concurrency": 10}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}}
], "edges": [{"source": "each", "target": "work"}]}""",
)


def check_config_values(subject: Subject) -> None:
    """Report the values that do not fit."""
    for found in subject.config_problems:
        problem = found.problem
        if problem.misfit is Misfit.VALUE and not problem.expression:
            subject.found.add(WRONG_VALUE, found.at, problem.message, problem.suggestion)
