"""Secrets in expressions."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Surroundings, Text
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.nodes.spec import Kind

SECRET_NAME = Rule(
    code="CF4017",
    title="The name of a secret is not written out",
    explanation=(
        "`$secret('name')` takes one literal name, so that it can be seen before a run which "
        "secrets a flow uses."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "tell", "type": "generic.http.request",
   "config": {"url": "{{ $secret(params.hook) }}", "method": "POST"}}
], "params": {"type": "object", "properties": {"hook": {"type": "string"}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "tell", "type": "generic.http.request",
   "config": {"url": "{{ $secret('slack_webhook') }}", "method": "POST"}}
]}""",
)
UNKNOWN_SECRET = Rule(
    code="CF4018",
    title="An expression reads a secret that the project does not have",
    explanation=(
        "`$secret('name')` is a secret under `secrets` in `cloudflow.yaml`, which says where its "
        "value lies."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "tell", "type": "generic.http.request",
   "config": {"url": "{{ $secret('slack_webhok') }}", "method": "POST"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "tell", "type": "generic.http.request",
   "config": {"url": "{{ $secret('slack_webhook') }}", "method": "POST"}}
]}""",
)
SECRET_LEAKS = Rule(
    code="CF4019",
    title="A secret would end up in a stored value",
    explanation=(
        "`$secret` is allowed in the config of actions, resources and triggers, which send it "
        "somewhere. It is not allowed where the value would be kept: in `generic.transform`, "
        "`generic.code`, `logic.*` and `flow.*`, in a trigger's `params`, in `until` and in the "
        "key of `concurrency`. Use it in the node that needs it."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "hook", "type": "generic.transform",
   "config": {"value": "{{ $secret('slack_webhook') }}"}},
  {"id": "tell", "type": "generic.http.request", "config": {"url": "{{ nodes.hook }}",
   "method": "POST"}}
], "edges": [{"source": "hook", "target": "tell"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "tell", "type": "generic.http.request",
   "config": {"url": "{{ $secret('slack_webhook') }}", "method": "POST"}}
]}""",
)


def check_secret_reads(subject: Subject) -> None:
    """Report secrets that are unknown, not literal, or used where they would be kept."""
    known = list(subject.project.secrets.names()) if subject.project else None
    for text in subject.texts:
        for expression in text.expressions:
            for name, offset in expression.secrets:
                _report(subject, text, name, offset, known)


def _report(
    subject: Subject, text: Text, name: str | None, offset: int, known: list[str] | None
) -> None:
    at = text.place(offset)
    if not _allowed(text):
        message = f"`$secret` is not allowed {_where(text)}: the value would be kept."
        suggestion = "Use it in the config of the node that sends it."
        subject.found.add(SECRET_LEAKS, at, message, suggestion)
    elif name is None:
        message = "`$secret` takes one name, in quotes."
        subject.found.add(SECRET_NAME, at, message, "Write `$secret('name')`.")
    elif known is not None and name not in known:
        message = f"The project has no secret `{shortened(name)}`."
        subject.found.add(UNKNOWN_SECRET, at, message, subject.did_you_mean(name, known))


def _allowed(text: Text) -> bool:
    vertex = text.vertex
    if vertex is None or text.surroundings in {Surroundings.UNTIL, Surroundings.START}:
        return False
    if vertex.type is None:
        return True
    return bool(text.path) and vertex.type.secrets and vertex.type.kind is not Kind.CONDITION


def _where(text: Text) -> str:
    if text.vertex is None:
        return "in the key of `concurrency`"
    match text.surroundings:
        case Surroundings.UNTIL:
            return "in `until`"
        case Surroundings.START:
            return "in a trigger's `params`"
        case _:
            return f"in `{text.vertex.node.type}`" if text.path else "here"
