"""What is known of an expression before it is evaluated."""

from __future__ import annotations

import pytest

from cloudflow_dagster.expressions import ROOTS, Expression, Read, function_names, parse_template


def expression(source: str) -> Expression:
    found = parse_template("{{" + source + "}}").whole
    assert found is not None
    return found


def shown(read: Read) -> str:
    path = ".".join(str(step) for step in (read.root, *read.path))
    if read.shadowed:
        path += " shadowed" if read.certain else " perhaps shadowed"
    return path + (" relative" if read.relative else "")


def reads(source: str) -> list[str]:
    return [shown(read) for read in expression(source).reads]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1", []),
        ("nodes.a", ["nodes.a"]),
        ("$nodes.a.b", ["nodes.a.b"]),
        ("nodes.volumes.Volumes[0].VolumeId", ["nodes.volumes.Volumes.0.VolumeId"]),
        ("nodes.volumes.Volumes[-1].VolumeId", ["nodes.volumes.Volumes.-1.VolumeId"]),
        ('`nodes`.`a b`."c"', ["nodes.a b.c"]),
        ("(nodes.a).b", ["nodes.a.b"]),
        ("nodes.(a).b", ["nodes", "nodes.a.b relative"]),
        ("$.nodes.a", ["nodes.a"]),
        ("$$.nodes.a", ["nodes.a"]),
        ("nodes.a[].b", ["nodes.a.b"]),
        ("nodes.a^(>size).b", ["nodes.a", "nodes.a.b", "nodes.a.size relative"]),
        (
            "nodes.a{kind: $sum(size)}",
            ["nodes.a", "nodes.a.kind relative", "nodes.a.size relative"],
        ),
        ("nodes.a#$i.b", ["nodes.a.b"]),
        ("nodes.a.b ? params.x : vars.y", ["nodes.a.b", "params.x", "vars.y"]),
        ("[nodes.a, {'k': params.x}]", ["nodes.a", "params.x"]),
        ("$lookup(nodes, 'x').y", ["nodes.x.y"]),
        ("$lookup(nodes.a, params.key)", ["nodes.a", "params.key"]),
        ("$exists(nodes.each.errors[0])", ["nodes.each.errors.0"]),
        ("nodes.a ~> $lookup('b')", ["nodes.a", "nodes.a.b"]),
        ("($v := nodes.a; $v.b & $v.c)", ["nodes.a", "nodes.a.b", "nodes.a.c"]),
        ("($nodes := params; $nodes.b)", ["params", "params.b"]),
        ("$map(nodes.a, function($v){ $v.b })", ["nodes.a", "nodes.a.b"]),
        ("nodes.a ~> $map(function($v){ $v.b })", ["nodes.a", "nodes.a.b"]),
        ("$reduce(nodes.a, function($sum, $v){ $sum + $v.b })", ["nodes.a", "nodes.a.b"]),
        ("nodes.a ~> |b|{'c': d}|", ["nodes.a", "nodes.a.b relative", "nodes.a.b.d relative"]),
        ("nodes.a.(b & $string(c))", ["nodes.a", "nodes.a.b relative", "nodes.a.c relative"]),
        ("nodes.a.$string()", ["nodes.a"]),
        ("nodes.a.*.b", ["nodes.a"]),
        ("$sum(item.sizes) + index", ["item.sizes", "index"]),
        ("loops.each.item.x", ["loops.each.item.x"]),
        ("-run.attempt", ["run.attempt"]),
    ],
)
def test_reads_are_root_and_steps(source: str, expected: list[str]) -> None:
    assert reads(source) == expected


@pytest.mark.parametrize("source", ["nodes", "$keys(nodes)", "nodes.*", "nodes.**", "$nodes[x=1]"])
def test_a_read_that_may_be_of_any_node_has_no_path(source: str) -> None:
    assert any(read.root == "nodes" and read.path == () for read in expression(source).reads)


@pytest.mark.parametrize("source", ["$", "$$", "*", "**", "$string()", "$keys()"])
def test_the_scope_itself_is_all_that_is_in_it(source: str) -> None:
    assert {read.root for read in expression(source).reads} == set(ROOTS)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nodes.v.Volumes[Size > params.min]", "params.min shadowed"),
        ("nodes.v.Volumes.{'env': params.env}", "params.env shadowed"),
        ("nodes.v.Volumes.(Size * vars.price)", "vars.price shadowed"),
        ("nodes.v.Volumes^(nodes.w.order)", "nodes.w.order shadowed"),
        ("nodes.v.Volumes{Kind: run.id}", "run.id shadowed"),
        ("nodes.v.Volumes[x = trigger.payload.y]", "trigger.payload.y shadowed"),
        ("nodes.v.Volumes[x = loops.each.item]", "loops.each.item shadowed"),
        ("nodes.v.Volumes[x = params]", "params perhaps shadowed"),
        ("nodes.v.Volumes[run.number = 3]", "run.number perhaps shadowed"),
        ("nodes.v.Volumes[item.id = 3]", "item.id perhaps shadowed"),
        ("nodes.v.Volumes[index = 3]", "index perhaps shadowed"),
        ("nodes.v.Volumes[input]", "input perhaps shadowed"),
        ("nodes.v.Volumes.output.(output.x)", "output.x perhaps shadowed"),
    ],
)
def test_a_bare_name_inside_an_element_is_shadowed(source: str, expected: str) -> None:
    found = [read for read in expression(source).reads if read.shadowed]
    assert [shown(read) for read in found] == [expected]
    assert found[0].element is not None
    assert found[0].element[:2] == ("nodes", "v")


@pytest.mark.parametrize(
    "source",
    [
        "nodes.v.Volumes[Size > $params.min]",
        "nodes.v.Volumes.params.min",
        "nodes.v.item.index.input",
        "$map(nodes.v.Volumes, function($v){ $v.Size > params.min })",
        "($f := function($v){ $v > params.min }; $f(1))",
        "nodes.v[0].params",
        "params.min > 3 ? nodes.v : nodes.w",
        "{'a': params.min}",
    ],
)
def test_nothing_is_shadowed_where_the_context_is_the_scope(source: str) -> None:
    assert not [read for read in expression(source).reads if read.shadowed]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("volumes.Volumes", [("volumes", 2)]),
        ("$volumes", [("$volumes", 2)]),
        ("$foo(1) & $uppercase('a')", [("$foo", 2)]),
        ("$eval('1')", [("$eval", 2)]),
        ("foo(1)", [("foo", 2)]),
        ("$map([1], $double)", [("$double", 12)]),
        ("$$.nope", [("nope", 5)]),
        ("($x := 1; $x + $y)", [("$y", 17)]),
        ("($x := 1); $x", None),
        ("(($x := 1); $x)", [("$x", 14)]),
        ("function($a, $b){ $a + $b + $c }(1, 2)", [("$c", 30)]),
        ("nodes.a@$x.b[$x.c = $d]", [("$d", 22)]),
        ("nodes.a#$i[$i = 0].{'n': $i}", []),
        ("nodes.a[anything].at.all", []),
        ("($f := function($n){ $n = 0 ? 1 : $f($n - 1) }; $f(3))", []),
        ("$map([1], function($v, $i){ $v * $i })", []),
        ("$substring(?, 1)", []),
        ("$now() & $random() & $millis()", []),
    ],
)
def test_unknown_names_are_found_with_their_places(
    source: str, expected: list[tuple[str, int]] | None
) -> None:
    if expected is not None:
        assert list(expression(source).unknown) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$secret('slack')", [("slack", 2)]),
        ("'a' & $secret(\"x\")", [("x", 8)]),
        ("$secret(params.name)", [(None, 2)]),
        ("$secret('a' & 'b')", [(None, 2)]),
        ("$secret()", [(None, 2)]),
        ("$secret('a', 'b')", [(None, 2)]),
        ("'a' ~> $secret()", [(None, 9)]),
        ("'a' ~> $secret", [(None, 9)]),
        ("$map(['a'], $secret)", [(None, 14)]),
        ("($s := $secret; $s('a'))", [(None, 9)]),
        ("($secret := function($x){ $x }; $secret(1))", []),
    ],
)
def test_secrets_are_found_and_only_literal_names_are_known(
    source: str, expected: list[tuple[str | None, int]]
) -> None:
    assert list(expression(source).secrets) == expected


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("nodes.a.b", ("nodes", "a", "b")),
        (" (nodes.a)[0].b ", ("nodes", "a", 0, "b")),
        ("$item", ("item",)),
        ("$$.params.x", ("params", "x")),
        ("nodes.a.b + 1", None),
        ("nodes.a[b = 1]", None),
        ("foo.bar", None),
        ("'text'", None),
    ],
)
def test_a_plain_path_is_told_apart(source: str, path: tuple[str | int, ...] | None) -> None:
    assert expression(source).path == path


def test_the_names_of_functions_are_known_without_eval() -> None:
    assert {"sum", "secret", "lookup", "single"} <= function_names()
    assert "eval" not in function_names()
