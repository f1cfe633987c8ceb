"""Fields that what an expression reads does not have."""

from __future__ import annotations

from cloudflow_dagster.compiler.knowledge import described
from cloudflow_dagster.compiler.shapes import Lacking, lacking
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.expressions.references import Read

UNKNOWN_PARAM = Rule(
    code="CF4013",
    title="An expression reads a param that the flow does not have",
    explanation=(
        "`params.<name>` is one of the flow's inputs, declared under `properties` of the flow's "
        "`params`, which is a JSON Schema."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ params.enviroment }}"}}
], "params": {"type": "object", "properties": {"environment": {"type": "string"}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ params.environment }}"}}
], "params": {"type": "object", "properties": {"environment": {"type": "string"}}}}""",
)
UNKNOWN_VARIABLE = Rule(
    code="CF4014",
    title="An expression reads a variable that the project does not have",
    explanation="`vars.<name>` is a variable of the project: `variables` in `cloudflow.yaml`.",
    wrong="""{"version": 1, "nodes": [
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ vars.alert_topic }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ vars.alerts_topic }}"}}
]}""",
)
NO_SUCH_FIELD = Rule(
    code="CF4015",
    title="An expression reads a field that is not there",
    explanation=(
        "The node type that the value comes from says which fields it has, and this is none of "
        "them. A name after a list is looked up in each of its entries. Where nothing is known of "
        "a value, nothing is checked."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
)

_OF_PLACE = {"item", "input", "loops"}


def check_read_fields(subject: Subject) -> None:
    """Report paths that lead nowhere, as far as schemas tell."""
    for text, _, read in subject.reads:
        if not read.path or _uncertain(subject, text, read):
            continue
        if read.root == "params" and _no_params(subject):
            found = lacking(0, str(read.path[0]), [])
        else:
            found = subject.knowledge.of_read(text, read.root, read.path)
        if isinstance(found, Lacking):
            _report(subject, text, read, found)


def _uncertain(subject: Subject, text: Text, read: Read) -> bool:
    """Return whether what a name stands for depends on edges that are broken."""
    doubtful = text.vertex is not None and text.vertex.id in subject.graph.doubtful
    return doubtful and read.root in _OF_PLACE


def _no_params(subject: Subject) -> bool:
    """Return whether the flow certainly has no params at all."""
    params = subject.graph.flow.params or {}
    known = {key for key, value in params.items() if value}
    return known <= {"type", "title", "description", "$schema"}


def _report(subject: Subject, text: Text, read: Read, found: Lacking) -> None:
    at = text.place(read.offsets[found.step] if read.offsets else read.offset)
    name = shortened(str(read.path[found.step]))
    if read.root == "params" and found.step == 0:
        message = f"The flow has no param `{name}`."
        subject.found.add(UNKNOWN_PARAM, at, message, found.suggestion)
    elif read.root == "vars":
        message = f"The project has no variable `{described('vars', read.path)}`."
        subject.found.add(UNKNOWN_VARIABLE, at, message, found.suggestion)
    else:
        whole = described(read.root, read.path[: found.step])
        message = f"`{whole}` {found.message}."
        subject.found.add(NO_SUCH_FIELD, at, message, found.suggestion)
