"""Names that a predicate or a map hides."""

from __future__ import annotations

from cloudflow_dagster.compiler.shapes import Lacking
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.expressions.references import Read

SHADOWED = Rule(
    code="CF4016",
    title="A name is looked up in the wrong place",
    explanation=(
        "Inside a predicate `[…]`, a map or an object constructor JSONata resolves a bare name "
        "against the element at hand: `Volumes[Size > params.min]` looks for `params` in each "
        "volume and finds nothing. With a `$` before it the name means what it means elsewhere."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "large", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes[Size > params.min] }}"}}
], "edges": [{"source": "volumes", "target": "large"}],
"params": {"type": "object", "properties": {"min": {"type": "integer", "default": 100}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "large", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes[Size > $params.min] }}"}}
], "edges": [{"source": "volumes", "target": "large"}],
"params": {"type": "object", "properties": {"min": {"type": "integer", "default": 100}}}}""",
)


def check_shadowed_names(subject: Subject) -> None:
    """Report bare names that are looked up in an element, unless elements have such a field."""
    for text in subject.texts:
        for expression in text.expressions:
            for read in expression.reads:
                if read.shadowed and (read.certain or _lacks(subject, text, read)):
                    message = f"`{read.root}` is looked up in each element here, and not found."
                    suggestion = f"Did you mean `${read.root}`?"
                    subject.found.add(SHADOWED, text.place(read.offset), message, suggestion)


def _lacks(subject: Subject, text: Text, read: Read) -> bool:
    """Return whether the elements are known not to have a field of this name."""
    if read.element is None:
        return False
    root, *path = read.element
    found = subject.knowledge.of_read(text, str(root), [*path, read.root])
    return isinstance(found, Lacking)
