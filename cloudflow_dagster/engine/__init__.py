"""From plans to Dagster: definitions, the executor, runs, the code server. Only here is Dagster.

What Dagster does not offer publicly is used from a few modules alone; each names the reason and the
version that it was checked on, and `tests/unit/engine/test_engine_dagster_internals.py` fails when
Dagster moves what they use: `executor.py`, `in_process.py`, `code_server.py`, `listing.py`,
`flows_location.py`, `origins.py`, `launcher.py`, `warm/`.
"""
