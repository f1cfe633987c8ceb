"""What CloudFlow tells the author of a flow, and where.

A problem is found deep down and placed in context by the caller. Nothing here reads a file.
"""

from cloudflow_dagster.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    FlowError,
    Location,
    Pointer,
    Rule,
    Severity,
    did_you_mean,
)

__all__ = [
    "Diagnostic",
    "Diagnostics",
    "FlowError",
    "Location",
    "Pointer",
    "Rule",
    "Severity",
    "did_you_mean",
]
