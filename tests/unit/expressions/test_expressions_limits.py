"""No expression takes long, or much memory, or the process down."""

from __future__ import annotations

import os
import resource
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cloudflow_dagster.expressions import ExpressionError, evaluate, parse_template, render

RUNAWAYS = {
    "pad": "$pad('a', 2000000000)",
    "pad, hidden": "$map([2000000000], function($n){ $pad('a', $n) })",
    "pad, by data": "$pad('a', params.huge)",
    "tail recursion": "($f := function($n){ $f($n + 1) }; $f(0))",
    "recursion": "($f := function($n){ 1 + $f($n + 1) }; $f(0))",
    "recursion through map": "($f := function($n){ $map([1, 2], $f) }; $f(0))",
    "fixed point": "function($f){ $f($f) }(function($f){ $f($f) })",
    "map over 10^7": "$map([1..10000000], function($v){ $v * 2 })",
    "range": "[1..10000000]",
    "ranges": "[1..100000].[1..100000]",
    "sequence of sequences": "$map([1..999999], function($v){ [1..1000] })",
    "doubling": "($f := function($s, $n){ $n = 0 ? $s : $f($s & $s, $n - 1) }; $f('ab', 40))",
    "doubling by steps": "('a')" + ".($ & $)" * 40,
    "doubling by variables": "($a := 'ab'; " + "$a := $a & $a; " * 40 + "$a)",
    "doubling arrays": "[1,1]" + ".[$,$]" * 40,
    "doubling by objects": "{'a': 1}" + ".{'a': $, 'b': $}" * 40,
    "replace": "$replace($replace($replace($pad('', 5000), '', 'x'), 'x', params.long), 'y', "
    "params.long)",
    "join": "$join(params.many, params.long)",
    "cross product": "params.many" + ".($$.params.many)" * 3,
    "parents": "params.many" + ".%.many" * 6,
    "reduce": "$reduce(params.many, function($a, $b){ $a & $a & $b })",
    "roman": "$formatInteger(10000000000000, 'I')",
    "wide picture": "$fromMillis(1, '[f,1000000000-1000000000]')",
    "large result": "$pad('a', 100000000)",
    "sort": "$sort([1..999999], function($l, $r){ $l < $r and [1..1000] })",
    "distinct": "$distinct(params.numbers)",
    "distinct, of each": "$map([1, 2], function($n){ $distinct($$.params.numbers) })",
    "distinct, chained": "params.numbers ~> $distinct",
}
SCOPE: dict[str, Any] = {
    "params": {
        "huge": 2_000_000_000,
        "many": [str(i) for i in range(2000)],
        "numbers": list(range(300_000)),
        "long": "y" * 100_000,
    }
}


def peak() -> int:
    """Megabytes that this process and its largest child ever had in memory, the larger of them."""
    return max(resource.getrusage(who).ru_maxrss for who in (-1, 0)) // 1024


@pytest.mark.parametrize("name", RUNAWAYS)
def test_a_runaway_ends_with_an_error_soon_and_in_little_memory(name: str) -> None:
    text = "{{ " + RUNAWAYS[name] + " }}"
    caught: list[BaseException] = []

    def run() -> None:
        try:
            render(text, SCOPE)
        except BaseException as error:
            caught.append(error)

    before = peak()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)  # 2 s on a machine with nothing else to do: see benchmarks/expressions.py
    assert not thread.is_alive()
    (error,) = caught
    assert isinstance(error, ExpressionError)
    assert error.code in {"Timeout", "TooLarge", "TooDeep", "Evaluation"}
    assert error.offset == 2
    assert peak() < max(300, before + 50)


def test_a_catastrophic_regular_expression_is_not() -> None:
    text = "a" * 50_000 + "b"
    for source in ("$contains(item, /(a+)+$/)", "$match(item, /^(a|a)*$/)", "item ~> /(.*)*x/"):
        assert not render("{{ $exists(" + source + ") and false }}", {"item": text})


def test_large_values_may_be_passed_on_and_filtered() -> None:
    many = [{"id": i, "state": "ok" if i % 1000 else "bad"} for i in range(100_000)]
    scope = {"nodes": {"a": {"rows": many}}}
    assert render("{{ nodes.a.rows }}", scope) is many
    assert render("{{ $count(nodes.a.rows[state = 'bad']) }}", scope) == 100
    assert render("{{ nodes.a.rows.id }}", scope) == list(range(100_000))
    assert render("{{ $map(nodes.a.rows[[0..9]], function($r){ $r.id }) }}", scope) == list(
        range(10)
    )


def test_other_threads_go_on_while_a_worker_works() -> None:
    def run() -> None:
        with pytest.raises(ExpressionError):
            render("{{ " + RUNAWAYS["tail recursion"] + " }}", SCOPE)

    thread = threading.Thread(target=run)
    thread.start()
    rounds = 0
    while thread.is_alive():
        time.sleep(0.001)
        rounds += 1
    thread.join()
    assert rounds > 50


def test_many_threads_evaluate_at_once_and_get_their_own_results() -> None:
    simple = parse_template("{{ item.n + $params.add }}").whole
    apart = parse_template("{{ ($f := function($x){ $x * 2 }; $f(item.n)) & $secret('s') }}").whole
    assert simple is not None
    assert apart is not None

    def work(number: int) -> bool:
        scope = {"item": {"n": number}, "params": {"add": 1}}
        return (
            evaluate(simple, scope) == number + 1
            and evaluate(apart, scope, lambda _: f"s{number}") == f"{number * 2}s{number}"
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(300)))


def test_a_worker_that_was_killed_is_replaced() -> None:
    from cloudflow_dagster.expressions import sandbox

    text = "{{ ($f := function($x){ $x }; $f(1)) }}"
    assert render(text, {}) == 1
    for worker in list(sandbox._POOL.idle):
        worker.process.kill()
        worker.process.wait()
    assert render(text, {}) == 1


def test_a_worker_that_ended_because_it_was_idle_is_not_taken_for_a_runaway() -> None:
    from cloudflow_dagster.expressions import sandbox

    text = "{{ ($f := function($x){ $x }; $f(2)) }}"
    assert render(text, {}) == 2
    worker = sandbox._POOL.idle[-1]
    assert worker.process.stdin is not None
    os.write(worker.input, (0).to_bytes(4, "big"))  # as if its input had ended
    assert render(text, {}) == 2


def test_a_forked_process_has_workers_of_its_own() -> None:
    text = "{{ ($f := function($x){ $x }; $f(3)) }}"
    assert render(text, {}) == 3
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(render(text, {})).encode())
            from cloudflow_dagster.expressions import sandbox

            sandbox._POOL.stop()
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 100) == b"3"
    os.close(reader)
    os.waitpid(child, 0)
    assert render(text, {}) == 3
