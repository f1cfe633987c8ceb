"""What Dagster shows of a flow that cannot be compiled: a job that says why, and does nothing.

So a broken file is seen where people look for its flow, in the list of jobs, and takes no other
flow down with it.
"""

# No postponed annotations here: Dagster reads that of `context` when an op is defined.

import dagster as dg
from dagster import OpExecutionContext

from cloudflow_dagster.compiler.pipeline import Compiled
from cloudflow_dagster.diagnostics.model import Diagnostic, Severity
from cloudflow_dagster.diagnostics.render import as_text
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.executor import thread_executor
from cloudflow_dagster.engine.jobs import as_job
from cloudflow_dagster.engine.told import NodeFailed

_MOST = 50
_LONGEST_LINE = 200


def broken_job(name: str, compiled: Compiled) -> dg.JobDefinition:
    """Return the job that stands for a flow with errors."""
    text = as_text(compiled.diagnostics, {compiled.file: compiled.document.text}, color=False)

    def say(context: OpExecutionContext, inputs: object) -> None:
        del context, inputs
        raise NodeFailed(f"`{compiled.file}` cannot run until it is put right.\n\n{text}")

    op = dg.OpDefinition(
        name=f"{name}__broken",
        compute_fn=say,
        outs={},
        description=f"{first_line(compiled)}\n\n```\n{text}\n```",
        tags={"dagster/kind/broken": ""},
    )
    graph = dg.GraphDefinition(
        name=name,
        description=_description(compiled),
        node_defs=[op],
        dependencies={dg.NodeInvocation(op.name, "broken"): {}},
    )
    return as_job(
        graph,
        executor_def=thread_executor,
        tags={tags.FLOW: name, tags.BROKEN: "true"},
        metadata={
            "flow file": dg.PathMetadataValue(compiled.file),
            "diagnostics": dg.MetadataValue.md(f"```\n{text}\n```"),
        },
    )


def _description(compiled: Compiled) -> str:
    shown = [_line(d) for d in compiled.diagnostics[:_MOST]]
    more = len(compiled.diagnostics) - len(shown)
    if more > 0:
        shown.append(f"- … and {more} more: `cloudflow check {compiled.file}`")
    return (
        f"Broken: {first_line(compiled)}\n\n"
        f"`{compiled.file}` is loaded again as soon as it is saved.\n\n" + "\n".join(shown)
    )


def first_line(compiled: Compiled) -> str:
    """Return the first of what is wrong with a flow, errors before warnings, on one line."""
    found = sorted(compiled.diagnostics, key=lambda d: d.severity is not Severity.ERROR)
    if not found:
        return f"`{compiled.file}` cannot be compiled."
    first = found[0]
    place = f"{compiled.file}:{first.line or 1}:{first.column or 1}"
    return shortened(f"{place} {first.code} {first.message}", _LONGEST_LINE)


def _line(found: Diagnostic) -> str:
    way_out = f" {found.suggestion}" if found.suggestion else ""
    place = f"{found.line or 1}:{found.column or 1}"
    return f"- {place} **{found.code}** {found.message}{way_out}"
