"""Plans that are kept with their runs: a run that waits goes on with what it started with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.database import database


def store_plan(connection: Any, plan: Plan) -> str:
    """Store a plan, if it is not; return its name.

    Args:
        connection: In the transaction that stores the run: a plan that no run names is deleted.
        plan: What the run is a run of.
    """
    text = plan.model_dump_json(exclude_defaults=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    connection.execute("INSERT OR IGNORE INTO plans (name, plan) VALUES (?, ?)", (name, text))
    return name


class Plans:
    """The plans of a project's runs, each stored once.

    Args:
        where: The database's file, or its server.
    """

    def __init__(self, where: Path | RecordsServer) -> None:
        self._db = database(where)

    def of_run(self, run: str) -> Plan | None:
        """Return what a run is a run of; None if it is not known.

        Raises:
            ValidationError: Another version of CloudFlow wrote it, and this one cannot read it.
        """
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT plan FROM plans WHERE name = "
                "(SELECT json_extract(facts, '$.plan') FROM runs WHERE id = ?)",
                (run,),
            ).fetchone()
        return Plan.model_validate_json(row[0]) if row else None
