"""The runs that a project remembers: found by a part of their id, and listed.

All of it is asked of Dagster's instance, so it sees every run of the deployment, whoever started
it, and works with any storage that `dagster.yaml` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from cloudflow_dagster.diagnostics import did_you_mean
from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.flow.model import Json

_Status = dg.DagsterRunStatus

STATUSES: Mapping[str, Sequence[dg.DagsterRunStatus]] = {
    "queued": (_Status.QUEUED,),
    "starting": (_Status.NOT_STARTED, _Status.STARTING, _Status.MANAGED),
    "running": (_Status.STARTED,),
    "waiting": (_Status.SUSPENDED,),
    "canceling": (_Status.CANCELING,),
    "success": (_Status.SUCCESS,),
    "failure": (_Status.FAILURE,),
    "canceled": (_Status.CANCELED,),
}
"""What people call the statuses of Dagster's runs."""

FINISHED = (_Status.SUCCESS, _Status.FAILURE, _Status.CANCELED)

_WORDS = {status: word for word, statuses in STATUSES.items() for status in statuses}
_MOST_NAMED = 5
_MOST_COMPARED = 500
"""Ids, the newest first, among which one is looked for that looks like what was typed."""


class HistoryError(Exception):
    """What was asked of the history cannot be answered; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run, as one line.

    Attributes:
        run_id: Its id.
        flow: Id of its flow; for a job that is no flow the job's name.
        status: One of `STATUSES`.
        started_by: `terminal`, `schedule`, `sensor`, `call`, `on_failure`, `retry`, or `launch` for
            the Launchpad and the API.
        created_at: When it was asked for, ISO 8601.
        started_at: When it began to execute, or None.
        ended_at: When it ended, or None.
        seconds: How long it executed, until now if it still does; None if it never did.
        retry_of: The run that it does again, if any.
        called_by: The run that waits for it (`flow.call`), if any.
        failure_of: The run after whose failure it was started (`on_failure`), if any.
    """

    run_id: str
    flow: str
    status: str
    started_by: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    retry_of: str | None
    called_by: str | None
    failure_of: str | None

    def as_json(self) -> dict[str, Json]:
        """Return what `--format json` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def status_of(run: dg.DagsterRun) -> str:
    """Return what people call the status of a run."""
    return _WORDS.get(run.status, run.status.value.lower())


def flow_of(run: dg.DagsterRun) -> str:
    """Return the flow of a run, or the name of a job that is no flow."""
    return run.tags.get(tags.FLOW) or run.job_name


def list_runs(
    instance: dg.DagsterInstance,
    *,
    flow: str | None = None,
    statuses: Sequence[str] = (),
    since: datetime | None = None,
    limit: int | None = None,
) -> list[ListedRun]:
    """Return runs, the newest first.

    Args:
        instance: The history.
        flow: Only those of this flow.
        statuses: Only those with one of these statuses (words of `STATUSES`).
        since: Only those created after this time.
        limit: At most so many.
    """
    chosen = dg.RunsFilter(
        job_name=names.dagster_name(flow) if flow else None,
        statuses=[status for word in statuses for status in STATUSES[word]],
        created_after=since.astimezone(UTC) if since else None,
    )
    return [listed(record) for record in instance.get_run_records(chosen, limit=limit)]


def listed(record: dg.RunRecord) -> ListedRun:
    """Return a run as one line."""
    run = record.dagster_run
    began, ended = record.start_time, record.end_time
    now = None if run.is_finished else datetime.now(UTC).timestamp()
    until = ended if ended is not None else now
    return ListedRun(
        run_id=run.run_id,
        flow=flow_of(run),
        status=status_of(run),
        started_by=_started_by(run),
        created_at=record.create_timestamp.isoformat(timespec="milliseconds"),
        started_at=time_text(began),
        ended_at=time_text(ended),
        seconds=round(until - began, 3) if began is not None and until is not None else None,
        retry_of=run.parent_run_id,
        called_by=run.tags.get(tags.PARENT_RUN),
        failure_of=run.tags.get(tags.FAILURE_OF),
    )


def time_text(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _started_by(run: dg.DagsterRun) -> str:
    by = {
        tags.PARENT_RUN: "call",
        tags.FAILURE_OF: "on_failure",
        "dagster/parent_run_id": "retry",
        "dagster/schedule_name": "schedule",
        "dagster/sensor_name": "sensor",
        tags.IN_PROCESS: "terminal",
    }
    return next((word for tag, word in by.items() if tag in run.tags), "launch")


def known_flows(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of all flows that have runs."""
    found = dict(instance.get_run_tags([tags.FLOW]))
    return sorted(found.get(tags.FLOW, ()))


def find_run(instance: dg.DagsterInstance, name: str) -> dg.RunRecord:
    """Return the run with an id, or with the only id that begins so.

    Args:
        instance: The history.
        name: The id, or its first characters.

    Raises:
        HistoryError: No run or several have it.
    """
    wanted = name.strip().lower()
    found = instance.get_run_record_by_id(wanted)
    if found is not None:
        return found
    ids = instance.get_run_ids()
    matching = [run_id for run_id in ids if wanted and run_id.startswith(wanted)]
    if len(matching) == 1:
        found = instance.get_run_record_by_id(matching[0])
    if found is None:
        raise HistoryError(_not_one(name, matching, ids))
    return found


def _not_one(name: str, matching: Sequence[str], ids: Sequence[str]) -> str:
    if len(matching) > 1:
        shown = ", ".join(matching[:_MOST_NAMED])
        more = f" and {len(matching) - _MOST_NAMED} more" if len(matching) > _MOST_NAMED else ""
        return (
            f"{len(matching)} runs have ids that begin with `{name}`: {shown}{more}. Write more "
            "of the one that you mean."
        )
    if not ids:
        return f"there is no run `{name}`: nothing has run in this project yet."
    # What was typed may be the beginning of an id.
    starts = [run_id[: len(name)] for run_id in ids[:_MOST_COMPARED]]
    close = did_you_mean(name.strip().lower(), starts) if name.strip() else None
    hint = close or "`cloudflow runs list` shows them."
    return f"there is no run `{name}`. {hint}"
