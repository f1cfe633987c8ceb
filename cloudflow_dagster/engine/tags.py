"""The tags by which CloudFlow's runs and steps are found and steered in Dagster."""

from __future__ import annotations

# Of runs and jobs.
FLOW = "cloudflow/flow"
FILE = "cloudflow/file"
BROKEN = "cloudflow/broken"
TRIGGER = "cloudflow/trigger"
PARENT_RUN = "cloudflow/parent_run"
CALL_CHAIN = "cloudflow/call_chain"
CALL = "cloudflow/call"
ONLY = "cloudflow/only"
FROM_RUN = "cloudflow/from_run"
IN_PROCESS = "cloudflow/in_process"
FAILURE_OF = "cloudflow/failure_of"
WORKER_DIED = "cloudflow/worker_died"
LIMIT = "cloudflow/concurrency_rule"
SLOT = "cloudflow/concurrency"
ADMITTED = "cloudflow/admitted"
WAITS = "cloudflow/waits"
UNDOES = "cloudflow/undoes"
UNDONE = "cloudflow/undone"
NOT_UNDONE = "no"

# Of steps, read by the executor.
GROUP = "cloudflow/group"
GROUP_LIMIT = "cloudflow/group_limit"
GROUP_STOPS = "cloudflow/group_stops"
PROCESS = "cloudflow/process"
TIMEOUT = "cloudflow/timeout"
