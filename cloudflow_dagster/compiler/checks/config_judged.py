"""What a node type itself finds in a config."""

from __future__ import annotations

from cloudflow_dagster.compiler.fitting import Misfit
from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened

REFUSED = Rule(
    code="CF3004",
    title="A node type refuses its config",
    explanation=(
        "Some things cannot be said by a schema: that one of several fields must be given, that a "
        "schedule is a valid cron expression, that names are not taken. The node type checks them "
        "itself and says what is wrong."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron", "config": {"schedule": "0 25 * * *"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}}
]}""",
)


def check_config_judged(subject: Subject) -> None:
    """Report what node types find, unless the place is known to be wrong already."""
    wrong: dict[tuple[str, bool], set[tuple[str | int, ...]]] = {}
    for found in subject.config_problems:
        place = found.problem.path
        if found.problem.misfit is Misfit.MISSING:
            place = (*place, found.problem.name)
        wrong.setdefault((found.vertex.id, found.vertex.undoes), set()).add(place)
    for vertex in subject.graph.configured():
        if vertex.type is not None and vertex.type.check_config and not vertex.node.disabled:
            _report(subject, vertex, wrong.get((vertex.id, vertex.undoes), set()))


def _report(subject: Subject, vertex: Vertex, wrong: set[tuple[str | int, ...]]) -> None:
    assert vertex.type is not None  # noqa: S101 - for the type checker; the caller looked
    if vertex.type.check_config is None:
        return
    into = () if vertex.undoes else subject.graph.into[vertex.id]
    fed = {link.field for link in into if link.field is not None}
    # What an edge feeds counts as given, with a value that only a run knows.
    config = {**dict.fromkeys(fed, "{{ input }}"), **vertex.node.config}
    try:
        findings = vertex.type.check_config(config)
    except Exception as error:
        if wrong:
            return  # It was not made for a config that does not even have the right types.
        findings = [((), f"The check of `{vertex.type.id}` failed: {shortened(repr(error))}.")]
    for path, sentence in findings:
        if any(path[: len(place)] == place for place in wrong) or (path and path[0] in fed):
            continue
        given = "config" in vertex.node.model_fields_set
        at = subject.graph.at(vertex, *(("config", *path) if given else ()))
        subject.found.add(REFUSED, at, sentence)
