"""From a flow as written to nodes, ports, order and loops."""

from __future__ import annotations

import itertools

from cloudflow_dagster.compiler.graph import DEEPEST, Graph
from cloudflow_dagster.compiler.resolve import resolve_flow
from cloudflow_dagster.flow.model import Edge, Flow, Node
from cloudflow_dagster.nodes.spec import Carries
from cloudflow_dagster.providers import catalogue
from tests.unit.compiler.compiling import graph, loop, node, value


def trespasses(found: Graph) -> list[tuple[str, str, str, bool]]:
    return [(t.link.edge.source, t.link.edge.target, t.loop, t.leaves) for t in found.trespasses]


def test_an_edge_without_ports_goes_from_the_first_output_to_the_first_input() -> None:
    (link,) = graph(loop("each"), value("work", 1), to=["each > work"]).links
    assert link.port is not None
    assert (link.port.name, link.port.carries) == ("item", Carries.ITEM)
    assert link.into is not None
    assert (link.into.name, link.field) == ("in", None)


def test_a_target_port_names_an_input_port_or_a_config_field() -> None:
    found = graph(
        value("one", 1),
        node("snapshot", "aws.ec2.create_snapshot"),
        to=["one > snapshot.VolumeId", "one > snapshot.in", "one > snapshot.nothing"],
    )
    ends = [(link.into.name if link.into else None, link.field) for link in found.links]
    assert ends == [(None, "VolumeId"), ("in", None), (None, None)]


def test_a_switch_has_the_ports_of_its_cases() -> None:
    cases = [{"name": "big", "when": True}, {"name": "small", "when": False}]
    found = graph(node("by_size", "logic.switch", config={"cases": cases}))
    assert [port.name for port in found.vertices["by_size"].outputs] == [
        "big",
        "small",
        "default",
        "error",
    ]


def test_an_action_has_a_port_for_each_field_of_its_result() -> None:
    found = graph(
        node("volumes", "aws.ec2.describe_volumes"),
        value("ids", 1),
        to=["volumes.Volumes > ids"],
    )
    (link,) = found.links
    assert link.port is not None
    assert link.port.carries is Carries.FIELD


def test_nodes_stand_in_topological_then_alphabetical_order() -> None:
    found = graph(value("c", 1), value("b", 1), value("a", 1), to=["c > a"])
    assert found.order == ("b", "c", "a")


def test_a_body_is_all_that_can_be_reached_from_item() -> None:
    found = graph(
        loop("each"),
        value("first", 1),
        value("second", 1),
        value("caught", 1),
        value("after", 1),
        to=["each.item > first", "first > second", "first.error > caught", "each.done > after"],
    )
    assert found.bodies() == {"each": ["first", "caught", "second"]}
    assert found.around["after"] == ()
    assert found.ends(found.bodies()["each"]) == ["caught", "second"]


def test_a_nested_loop_is_an_end_of_the_outer_body_and_its_own_body_is_not() -> None:
    found = graph(
        loop("outer"),
        loop("inner"),
        value("work", 1),
        to=["outer > inner", "inner > work"],
    )
    assert found.around == {"outer": (), "inner": ("outer",), "work": ("outer", "inner")}
    assert found.ends(found.bodies()["outer"]) == ["inner"]
    assert found.ends(found.bodies()["inner"]) == ["work"]


def test_what_hangs_on_done_of_a_nested_loop_is_in_the_outer_body() -> None:
    found = graph(
        loop("outer"),
        loop("inner"),
        value("work", 1),
        value("sum", 1),
        to=["outer > inner", "inner > work", "inner.done > sum"],
    )
    assert found.around["sum"] == ("outer",)
    assert found.ends(found.bodies()["outer"]) == ["sum"]


def test_an_edge_into_a_body_that_does_not_come_through_item_trespasses() -> None:
    found = graph(
        loop("each"), value("other", 1), value("work", 1), to=["each > work", "other > work"]
    )
    assert trespasses(found) == [("other", "work", "each", False)]
    assert found.around["work"] == ("each",)


def test_an_edge_from_a_body_to_what_comes_after_the_loop_trespasses_once() -> None:
    found = graph(
        loop("each"),
        value("work", 1),
        value("after", 1),
        value("later", 1),
        to=["each > work", "work > after", "each.done > after", "after > later"],
    )
    assert trespasses(found) == [("work", "after", "each", True)]
    assert found.around["later"] == ()


def test_an_edge_from_an_inner_body_to_the_outer_one_leaves_the_inner_loop() -> None:
    found = graph(
        loop("outer"),
        loop("inner"),
        value("deep", 1),
        value("shallow", 1),
        to=["outer > inner", "outer > shallow", "inner > deep", "deep > shallow"],
    )
    assert trespasses(found) == [("deep", "shallow", "inner", True)]


def test_a_node_reached_from_two_loops_is_in_neither() -> None:
    found = graph(
        loop("one"),
        loop("two"),
        value("a", 1),
        value("b", 1),
        value("both", 1),
        to=["one > a", "two > b", "a > both", "b > both"],
    )
    assert trespasses(found) == [("a", "both", "one", True), ("b", "both", "two", True)]


def test_a_disabled_loop_is_no_loop() -> None:
    found = graph({**loop("each"), "disabled": True}, value("work", 1), to=["each > work"])
    assert found.around["work"] == ()
    assert found.vertices["each"].outputs[0].name == "item"


def test_a_disabled_edge_makes_no_order() -> None:
    data = {
        "version": 1,
        "nodes": [value("a", 1), value("b", 1)],
        "edges": [
            {"source": "b", "target": "a", "disabled": True},
            {"source": "a", "target": "b"},
        ],
    }
    found = resolve_flow(Flow.model_validate(data), id="x", file="x.json", registry=catalogue())
    assert (found.cycles, found.order) == ((), ("a", "b"))
    assert len(found.links) == 2


def test_each_circle_is_found_once() -> None:
    found = graph(
        *(value(id, 1) for id in "abcdef"),
        to=["a > b", "b > c", "c > a", "c > d", "e > f", "f > e"],
    )
    assert found.cycles == (("a", "b", "c"), ("e", "f"))
    assert found.order == ()


def test_a_node_that_leads_to_itself_is_a_circle() -> None:
    assert graph(value("a", 1), to=["a > a"]).cycles == (("a",),)


def test_upstream_goes_along_edges_only() -> None:
    found = graph(value("a", 1), value("b", 1), value("c", 1), value("d", 1), to=["a > b", "b > c"])
    assert found.upstream("a", "c")
    assert not found.upstream("c", "a")
    assert not found.upstream("d", "c")
    assert not found.upstream("a", "a")
    assert found.all_upstream("c") == ["a", "b"]


def test_what_hangs_on_a_broken_edge_is_doubtful() -> None:
    found = graph(
        loop("each"),
        value("work", 1),
        value("more", 1),
        value("other", 1),
        to=["each.itm > work", "work > more"],
    )
    assert found.doubtful == {"work", "more"}


def test_ten_thousand_nodes_in_a_row_and_ten_thousand_side_by_side() -> None:
    ids = [f"n{number}" for number in range(10_000)]
    nodes = tuple(Node(id=id, type="generic.transform", config={"value": 1}) for id in ids)
    row = [Edge(source=a, target=b) for a, b in itertools.pairwise(ids)]
    fan = [Edge(source=ids[0], target=id) for id in ids[1:]]
    for many in (row, fan):
        flow = Flow(version=1, nodes=nodes, edges=tuple(many))
        found = resolve_flow(flow, id="x", file="x.json", registry=catalogue())
        assert len(found.order) == 10_000
        assert found.upstream(ids[0], ids[-1])


def test_loops_nested_ten_thousand_deep_stay_bounded() -> None:
    ids = [f"n{number}" for number in range(10_000)]
    nodes = tuple(Node(id=id, type="logic.loop", config={"items": [1]}) for id in ids)
    chain = tuple(Edge(source=a, target=b) for a, b in itertools.pairwise(ids))
    flow = Flow(version=1, nodes=nodes, edges=chain)
    found = resolve_flow(flow, id="x", file="x.json", registry=catalogue())
    assert max(len(around) for around in found.around.values()) == DEEPEST + 1
    assert found.trespasses == ()
