"""Which threads may load the engine, and what happens where they must not."""

from __future__ import annotations

import subprocess
import sys

import pytest

USE = """
import os, threading
def use():
    from cloudflow_dagster.expressions import render
    assert render("{{ item.a + 1 }}", {"item": {"a": 1}}) == 2
    assert render("{{ $contains(item, /^b+$/) }}", {"item": "bbb"}) is True
    try:
        render("{{ a[1]@$x }}", {})
    except Exception as error:
        assert error.code == "Syntax", error.code
    else:
        raise AssertionError("not refused")
def in_thread(work):
    failed = []
    def run():
        try:
            work()
        except BaseException as error:
            failed.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failed, failed
def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def use_in_threads():
    for _ in range(5):
        in_thread(use)
def here():
    from cloudflow_dagster.expressions.engine import usable_here
    return usable_here()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE + program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "usable"),
    [
        ("use(); use_in_threads(); print(here())", True),
        ("import cloudflow_dagster.expressions; use_in_threads(); print(here())", True),
        ("use_in_threads(); in_thread(lambda: print(here()))", False),
        ("use_in_threads(); use(); use_in_threads(); print(here())", True),
        ("use(); in_child(use_in_threads); in_child(lambda: print(here(), flush=True))", True),
        (
            "use(); in_thread(lambda: in_child(use_in_threads));"
            "in_thread(lambda: in_child(lambda: print(here(), flush=True)))",
            False,
        ),
        (
            "in_thread(lambda: in_child(lambda: (use_in_threads(), print(here(), flush=True))))",
            True,
        ),
        (
            "in_thread(lambda: in_child(lambda: (use(), in_thread(lambda: in_child(lambda: ("
            "use_in_threads(), print(here(), flush=True)))))))",
            False,
        ),
        (
            "in_thread(lambda: __import__('jsonatapy')); use(); use_in_threads(); print(here())",
            False,
        ),
    ],
)
def test_any_thread_of_any_process_may_evaluate(program: str, usable: bool) -> None:
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(usable)]


def test_the_reason_for_all_this_still_holds() -> None:
    """If this fails, the engine was repaired, and `usable_here` may go."""
    program = """
def engine():
    import jsonatapy
    for _ in range(50):
        jsonatapy.compile("$map([1..200], function($v){{'a': $v}})").evaluate({})
for _ in range(60):
    in_thread(engine)
"""
    assert run(program).returncode < 0


def test_an_error_may_be_dropped_by_another_thread() -> None:
    """Its frames must not hold what belongs to the thread in which it was raised."""
    program = """
import gc, sys
from cloudflow_dagster.expressions.engine import usable_here
assert usable_here()
kept, heard = [], []
sys.unraisablehook = heard.append
def fail():
    from cloudflow_dagster.expressions import render
    try:
        render("{{ $error(item.a) }}", {"item": {"a": "no"}})
    except Exception as error:
        cause = error
        while cause is not None:
            kept.append(cause)
            cause = cause.__context__
in_thread(fail)
assert kept
kept.clear()
gc.collect()
assert not heard, heard[0].exc_value
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
