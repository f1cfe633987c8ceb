"""The public parts of the engine are had from its package, and cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from cloudflow_dagster import engine


@pytest.mark.parametrize("name", engine.__all__)
def test_each_public_part_is_had_from_the_package(name: str) -> None:
    assert getattr(engine, name) is not None


def test_what_is_not_there_is_missing_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_part'"):
        _ = engine.no_such_part


def test_the_package_loads_neither_dagster_nor_the_parts_until_they_are_used() -> None:
    code = (
        "import sys, cloudflow_dagster, cloudflow_dagster.engine\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] in ('dagster', 'sqlalchemy')\n"
        "      or m.startswith('cloudflow_dagster.')))\n"
        "from cloudflow_dagster.engine import thread_executor\n"
        "print('dagster' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.splitlines() == ["cloudflow_dagster.engine", "True"]


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("coordinator", "FlowRunCoordinator"),
        ("history", "SqliteHistory"),
        ("launcher", "WarmRunLauncher"),
    ],
)
def test_the_modules_that_a_dagster_yaml_names_have_them(module: str, part: str) -> None:
    there = import_module(f"cloudflow_dagster.engine.{module}")
    assert getattr(there, part) is getattr(engine, part)
