"""Parts of the flow format that this version does not run yet."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity

_PLAIN = """{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}"""
ARCHITECTURE = Rule(
    code="CF9006",
    title="Architecture mode is not supported yet",
    explanation="Cloud resources that are planned, applied and kept come in a later version.",
    wrong="""{"version": 1, "mode": "architecture", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right=_PLAIN,
)
LAYOUT = Rule(
    code="CF9007",
    title="Positions beside the flow are not read yet",
    explanation=(
        "`flows/.layout/` will hold the positions of nodes for the canvas. This version reads "
        "them from the nodes' own `position`."
    ),
    wrong="""{"version": 1, "id": "arranged", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right=_PLAIN,
    severity=Severity.WARNING,
)


def check_not_supported(subject: Subject) -> None:
    """Report what is valid but cannot be run yet."""
    flow, graph, found = subject.graph.flow, subject.graph, subject.found
    if flow.mode == "architecture":
        found.add(ARCHITECTURE, graph.place("mode"), "Architecture mode is not supported yet.")
    if subject.project is not None and graph.id is not None:
        layout = subject.project.flows / ".layout" / f"{graph.id}.json"
        if layout.exists():
            found.add(LAYOUT, graph.place(), f"`.layout/{graph.id}.json` is not read yet.")
