"""All rules there are, and the page that explains them.

`python -m cloudflow_dagster.compiler.rules > docs/diagnostics.md` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from cloudflow_dagster.compiler import checks
from cloudflow_dagster.diagnostics.model import Rule, Severity
from cloudflow_dagster.flow import shape, syntax
from cloudflow_dagster.project import rules as project_rules

EXAMPLE_PROJECT = """\
credentials:
  aws_prod: {provider: aws, profile: prod}
  gcp_data: {provider: gcp, project: data}
secrets:
  slack_webhook: {env: SLACK_WEBHOOK}
variables:
  alerts_topic: arn:aws:sns:eu-central-1:000000000000:alerts
"""
"""The `cloudflow.yaml` of the project in which the rules' examples are checked."""

EXAMPLE_FLOW = """\
{
  "version": 1,
  "params": {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]},
  "nodes": [{"id": "start", "type": "trigger.manual"}]
}
"""
"""Another flow of that project, `flows/tidy_up.json`."""

FAMILIES = {
    "CF0": "Reading a file",
    "CF1": "The shape of a flow, and its node types",
    "CF2": "Nodes and edges",
    "CF3": "Config, credentials and pins",
    "CF4": "Expressions",
    "CF5": "Params, triggers and calls",
    "CF6": "The project file",
    "CF9": "Not supported yet",
}
_LONGEST = 1200
_HEAD = """\
# Diagnostics

<!-- Made by `python -m cloudflow_dagster.compiler.rules > docs/diagnostics.md`. -->

`cloudflow check` finds these, all of a file at once, each with its place. A code never changes its
meaning. An *error* keeps the flow from running, a *warning* does not. Every rule has the smallest
file that has the problem, and the same file put right.

Where an example names something of its project, the project has this `cloudflow.yaml`:

```yaml
{project}```

and beside the example's own file this `flows/tidy_up.json`:

```json
{flow}```
"""


def all_rules() -> tuple[Rule, ...]:
    """Return every rule, sorted by code."""
    rules = {rule.code: rule for module in _homes() for rule in _rules_of(module)}
    return tuple(rules[code] for code in sorted(rules))


def _homes() -> Iterator[ModuleType]:
    """Yield the modules that declare rules."""
    yield from (syntax, shape, project_rules)
    for module in iter_modules(checks.__path__):
        yield import_module(f"{checks.__name__}.{module.name}")


def _rules_of(module: ModuleType) -> Iterator[Rule]:
    return (value for value in vars(module).values() if isinstance(value, Rule))


def as_page() -> str:
    """Return `docs/diagnostics.md`."""
    rules = all_rules()
    parts = [_HEAD.format(project=EXAMPLE_PROJECT, flow=EXAMPLE_FLOW)]
    for prefix, family in FAMILIES.items():
        parts.append(f"\n## {family} ({prefix})\n")
        parts += [_section(rule) for rule in rules if rule.code.startswith(prefix)]
    return "".join(parts)


def _section(rule: Rule) -> str:
    kind = "Warning" if rule.severity is Severity.WARNING else "Error"
    if rule.strict:
        kind += " of `cloudflow check --strict` alone"
    language = "yaml" if rule.code.startswith("CF6") else "json"
    return (
        f"\n### {rule.code}: {rule.title}\n\n{kind}. {rule.explanation}\n\nWrong:\n\n"
        f"{_fenced(rule.wrong, language)}\nRight:\n\n{_fenced(rule.right, language)}"
    )


def _fenced(text: str, language: str) -> str:
    visible = text.replace("\ufeff", "\\ufeff").strip("\n")
    if len(visible) > _LONGEST:
        visible = f"{visible[:_LONGEST]} …"
    return f"```{language}\n{visible}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(as_page())
