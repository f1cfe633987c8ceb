"""What expressions cost: `python benchmarks/expressions.py`.

Prints, for expressions of growing difficulty, microseconds to parse one (once for each config
string), to evaluate one (each time), and where: looked up without the engine, by the engine in this
process, or in a worker. Then how soon runaways end, and what importing the package costs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from cloudflow_dagster.expressions import ExpressionError, evaluate, parse_template, render
from cloudflow_dagster.expressions.evaluate import _is_cheap
from cloudflow_dagster.expressions.scope import take, weigh
from cloudflow_dagster.expressions.template import Expression

VOLUMES = [
    {"VolumeId": f"vol-{i}", "Size": i, "State": "ok", "Tags": [{"Key": "env", "Value": "prod"}]}
    for i in range(200)
]
SCOPE: dict[str, Any] = {
    "nodes": {
        "volumes": {"Volumes": VOLUMES},
        "huge": {"rows": [{"id": i, "text": "x" * 20} for i in range(200_000)], "count": 3},
        "each": {"errors": [], "count": 7},
    },
    "params": {"min": 150, "env": "prod"},
    "item": VOLUMES[7],
    "index": 7,
    "run": {"id": "r1", "started_at": "2026-11-23T07:00:00Z"},
}
EXPRESSIONS = [
    "item.VolumeId",
    "params.env",
    "nodes.volumes.Volumes.VolumeId",
    "nodes.huge.rows",
    "nodes.huge.count + 1",
    "'nightly ' & run.started_at",
    "$exists(nodes.each.errors[0])",
    "{'id': item.VolumeId, 'env': params.env, 'n': index}",
    "$sum(nodes.volumes.Volumes.Size)",
    "nodes.volumes.Volumes[Size > 150].VolumeId",
    "nodes.volumes.Volumes[Size > $params.min].VolumeId",
    "nodes.volumes.Volumes.{'id': VolumeId, 'env': $params.env}",
    "$map(nodes.volumes.Volumes, function($v){ $v.VolumeId & '-' & $params.env })",
    "$count(nodes.huge.rows[id > 100])",
    "($f := function($n){ $n = 0 ? 0 : 1 + $f($n - 1) }; $f(10))",
    "($f := function($v){ $v.Size * 2 }; nodes.volumes.Volumes.$f($))",
]
RUNAWAYS = {
    "$pad to 2·10⁹ characters": "$pad('a', 2000000000)",
    "tail recursion without end": "($f := function($n){ $f($n + 1) }; $f(0))",
    "recursion without end": "($f := function($n){ 1 + $f($n + 1) }; $f(0))",
    "map over 10⁷ items": "$map([1..10000000], function($v){ $v * 2 })",
    "a list of 10⁷": "[1..10000000]",
    "10⁵ lists of 10⁵": "[1..100000].[1..100000]",
    "a string doubled 40 times": "('a')" + ".($ & $)" * 40,
    "catastrophic regular expression": "$match($join([1..50000].'a') & 'b', /(a+)+$/)",
    "a result of 100 MB": "$pad('a', 100000000)",
}


def micros(work: Callable[[], object], least: float = 0.2) -> float:
    """Return the shortest time of one call, in microseconds, over several rounds."""
    work()
    best = float("inf")
    deadline = time.perf_counter() + least
    rounds = 1
    while time.perf_counter() < deadline:
        started = time.perf_counter()
        for _ in range(rounds):
            work()
        took = time.perf_counter() - started
        best = min(best, took / rounds)
        if took < 0.001:
            rounds *= 4
    return best * 1e6


def place(expression: Expression) -> str:
    """Say where an expression is evaluated."""
    if expression.direct is not None:
        return "looked up"
    data = take(SCOPE, expression.needs)
    return "engine" if _is_cheap(expression, data, weigh(data)[0]) else "worker"


def main() -> None:
    """Measure and print."""
    print(f"{'expression':<78} {'where':<10} {'parse us':>9} {'evaluate us':>12}")
    for source in EXPRESSIONS:
        text = "{{ " + source + " }}"
        expression = parse_template(text).whole
        if expression is None:
            raise SystemExit(f"not one expression: {source}")
        parse = micros(lambda text=text: parse_template.__wrapped__(text))
        run = micros(lambda expression=expression: evaluate(expression, SCOPE))
        print(f"{source:<78} {place(expression):<10} {parse:9.1f} {run:12.1f}")

    print(f"\n{'runaway':<40} {'seconds':>8}  ends with")
    for name, source in RUNAWAYS.items():
        started = time.perf_counter()
        try:
            render("{{ " + source + " }}", SCOPE)
            end = "a result"
        except ExpressionError as error:
            end = f"{error.code}: {error.message}"
        print(f"{name:<40} {time.perf_counter() - started:8.2f}  {end}")

    program = (
        "import re, json, dataclasses, typing, functools, math, collections.abc, time;"
        "started = time.perf_counter(); import cloudflow_dagster.expressions;"
        "print((time.perf_counter() - started) * 1000)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", program], stdout=-1, check=True).stdout)
        for _ in range(10)
    ]
    print(f"\nimport, beyond the standard library's usual modules: {min(times):.1f} ms")


if __name__ == "__main__":
    main()
