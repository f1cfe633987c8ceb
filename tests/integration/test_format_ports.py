"""The flow format, "Ports" and edges, on running flows."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from typing import Any

import pytest

from cloudflow_dagster.nodes.spec import Kind
from cloudflow_dagster.providers import catalogue
from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
    breaks,
    call,
    chain,
    code,
    cron,
    flow,
    get,
    if_,
    loop,
    result,
    switch,
    value,
    wait,
)

pytestmark = pytest.mark.integration

VOLUMES = {"id": "volumes", "type": "aws.ec2.describe_volumes"}


@pytest.fixture
def cloud(separate_cloud: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    return separate_cloud


# Which ports there are


def ports(type_: str, config: dict[str, Any] | None = None) -> list[str]:
    found = catalogue().get(type_)
    assert found is not None
    return [port.name for port in found.outputs_for(config or {})]


def test_nodes_have_the_ports_of_the_table_and_all_but_triggers_an_error_port() -> None:
    assert ports("trigger.manual") == ports("trigger.cron") == ["out"]
    assert ports("logic.if") == ["true", "false", "error"]
    cases = {"cases": [{"name": "big", "when": ""}, {"name": "small", "when": ""}]}
    assert ports("logic.switch", cases) == ["big", "small", "default", "error"]
    assert ports("logic.loop") == ["item", "done", "error"]
    for type_ in ("logic.wait", "generic.transform", "generic.code", "flow.call", "flow.result"):
        assert ports(type_) == ["out", "error"]
    assert ports("generic.http.request") == ["out", "error"]
    assert ports("aws.ec2.create_snapshot")[0] == "out"
    assert ports("aws.ec2.create_snapshot")[-1] == "error"
    assert {"SnapshotId", "State", "Progress"} <= set(ports("aws.ec2.create_snapshot"))
    for type_ in ("trigger.manual", "trigger.cron"):
        found = catalogue().get(type_)
        assert found is not None
        assert found.kind is Kind.TRIGGER
        assert found.inputs == ()


def test_every_kind_of_node_fails_at_its_error_port(programs: Programs) -> None:
    """A secret edge from `error` is all it takes, whatever the node is."""
    bad = "{{ $error('x') }}"
    nodes = [
        MANUAL,
        breaks("transform"),
        code("code", "return 1 / 0"),
        get("http", "http://127.0.0.1:1/"),
        if_("ask", bad),
        switch("pick", a=bad),
        loop("loop", bad),
        value("body"),
        call("call", "{{ 'no_such_flow' }}"),
        wait("wait", until="{{ 'no time' }}"),
        result(bad, "result"),
    ]
    ids = ("transform", "code", "http", "ask", "pick", "loop", "call", "wait", "result")
    nodes += [value(f"of_{id}", "{{ input.node }}") for id in ids]
    edges = ["loop.item > body", *(f"start > {id}" for id in ids)]
    edges += [f"{id}.error > of_{id}" for id in ids]
    ended = programs.run(flow(nodes, edges))

    assert ended.status == "success"
    assert {id: ended.output(f"of_{id}") for id in ids} == {id: id for id in ids}


def test_a_trigger_delivers_the_event_at_out(programs: Programs) -> None:
    nodes = [MANUAL, value("by_default"), value("by_name"), result("{{ input }}")]
    edges = ["start > by_default", "start.out > by_name", "by_default > end"]
    ended = programs.run(flow(nodes, edges))

    assert set(ended.result) == {"type", "time", "payload"}
    assert ended.output("by_name") == ended.result
    assert programs.codes(flow([MANUAL, value("x")], ["start.error > x"])) == ["CF2002"]


def test_an_action_has_a_port_for_each_field_that_delivers_if_it_is_present(
    programs: Programs, cloud: str
) -> None:
    nodes = [
        MANUAL,
        VOLUMES,
        value("whole", "{{ $keys(input) }}"),
        value("field", "{{ $count(input) > 0 and $exists(input.VolumeId) }}"),
        value("token"),
    ]
    edges = [
        "start > volumes",
        "volumes.out > whole",
        "volumes.Volumes > field",
        "volumes.NextToken > token",
    ]
    ended = programs.run(flow(nodes, edges))

    assert "Volumes" in ended.output("whole")
    assert ended.output("field") is True
    assert ended.statuses["token"] == "skipped"


def test_generic_nodes_have_no_ports_for_fields(programs: Programs) -> None:
    nodes = [MANUAL, get("ask", "http://127.0.0.1:1/"), value("x")]

    assert programs.codes(flow(nodes, ["start > ask", "ask.body > x"])) == ["CF2002"]


def test_logic_if_and_switch_carry_what_came_in(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("one", {"a": 1}),
        if_("ask", "{{ input.a = 1 }}"),
        switch("pick", no="{{ false }}", yes="{{ input.a = 1 }}"),
        value("else_"),
        result("{{ input }}"),
    ]
    edges = [
        "start > one",
        "one > ask",
        "ask.true > pick",
        "pick.yes > end",
        "pick.default > else_",
    ]
    ended = programs.run(flow(nodes, edges))

    assert ended.result == {"a": 1}
    assert ended.statuses["else_"] == "skipped"


# Which port an edge means


def test_an_edge_without_ports_goes_from_the_first_output_to_the_first_input(
    programs: Programs,
) -> None:
    """The first output of a condition is `true`, of a switch its first case, of a loop `item`."""
    nodes = [
        MANUAL,
        if_("ask", "{{ true }}"),
        switch("pick", first="{{ true }}", second="{{ true }}"),
        loop("each", [1, 2]),
        value("body", "{{ item }}"),
        result("{{ nodes.each.results }}"),
    ]
    edges = ["start > ask", "ask > pick", "pick > each", "each > body", "each.done > end"]

    assert programs.run(flow(nodes, edges)).result == [1, 2]


def test_a_target_port_names_the_input_port_or_a_field_of_the_config(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("one", {"a": [1, 2]}),
        value("same"),
        {"id": "fed", "type": "generic.transform"},
    ]
    edges = ["start > one", "one > same.in", "one > fed.value"]
    ended = programs.run(flow(nodes, edges))

    assert ended.output("same") == {"a": [1, 2]}
    assert ended.output("fed") == {"a": [1, 2]}


def test_an_edge_feeds_a_field_with_what_the_source_port_carries(
    programs: Programs, cloud: str
) -> None:
    nodes = [
        MANUAL,
        VOLUMES,
        {"id": "each", "type": "logic.loop"},
        {"id": "tags", "type": "generic.transform"},
        result("{{ nodes.each.count = $count(nodes.volumes.Volumes) }}"),
    ]
    edges = [
        "start > volumes",
        "volumes.Volumes > each.items",
        "each.item > tags.value",
        "each.done > end",
    ]
    ended = programs.run(flow(nodes, edges))

    assert ended.result is True
    assert "VolumeId" in ended.output("each")["results"][0]


def test_an_error_feeds_a_field_too(programs: Programs) -> None:
    nodes = [MANUAL, breaks("bad"), {"id": "caught", "type": "generic.transform"}]
    ended = programs.run(flow(nodes, ["start > bad", "bad.error > caught.value"]))

    assert ended.output("caught")["node"] == "bad"


def test_an_edge_that_feeds_also_makes_order_and_input(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("sizes", [3, 1, 2]),
        {
            "id": "sorted",
            "type": "generic.code",
            "config": {"code": "def main(inputs):\n    return sorted(inputs)\n"},
        },
        result("{{ input }}"),
    ]
    ended = programs.run(flow(nodes, ["start > sizes", "sizes > sorted.inputs", "sorted > end"]))

    assert ended.result == [1, 2, 3]


def test_an_edge_that_does_not_deliver_feeds_nothing(programs: Programs) -> None:
    """What is written in the config stands then."""
    nodes = [
        MANUAL,
        if_("ask", "{{ false }}"),
        value("no", "fed"),
        value("target", "written"),
        result("{{ input }}"),
    ]
    edges = ["start > ask", "ask.true > no", "no > target.value", "start > target", "target > end"]

    assert programs.run(flow(nodes, edges)).result == "written"


@pytest.mark.parametrize(
    ("fed", "holds"),
    [(True, True), (0, False), ("x", True), (None, False), ([0, 1], True), ("{{ 1 = 2", True)],
)
def test_an_edge_may_feed_a_condition(programs: Programs, fed: Any, holds: bool) -> None:
    """What it carries goes through `$boolean`; it is data, and never an expression."""
    carried = value("carried", fed) if fed != "{{ 1 = 2" else value("carried", "{{ '{{' }} 1 = 2")
    nodes = [MANUAL, carried, {"id": "ask", "type": "logic.if"}, value("yes"), value("no")]
    edges = ["start > carried", "carried > ask.condition", "ask.true > yes", "ask.false > no"]
    ended = programs.run(flow(nodes, edges))

    assert ended.status == "success"
    assert (ended.statuses["yes"] == "success") is holds


def test_a_single_value_that_is_fed_to_an_array_is_wrapped(programs: Programs, cloud: str) -> None:
    nodes = [
        MANUAL,
        VOLUMES,
        value("id", "{{ nodes.volumes.Volumes[0].VolumeId }}"),
        {"id": "one", "type": "aws.ec2.describe_volumes"},
        result("{{ $count(nodes.one.Volumes) }}"),
    ]
    edges = ["start > volumes", "volumes > id", "id > one.VolumeIds", "one > end"]

    assert programs.run(flow(nodes, edges)).result == 1


def test_ports_that_do_not_exist_are_errors(programs: Programs) -> None:
    (found,) = programs.check(
        flow([MANUAL, if_("ask", "{{ true }}"), value("x")], ["start > ask", "ask.ture > x"])
    ).diagnostics
    assert (found.code, str(found.at.pointer)) == ("CF2002", "/edges/1/source_port")
    assert "true" in (found.suggestion or "")
    (found,) = programs.check(flow([MANUAL, value("x")], ["start > x.valeu"])).diagnostics
    assert (found.code, str(found.at.pointer)) == ("CF2003", "/edges/0/target_port")
    assert "value" in (found.suggestion or "")


def test_an_edge_into_a_trigger_or_from_a_node_that_is_not_there_is_an_error(
    programs: Programs,
) -> None:
    assert programs.codes(flow([MANUAL, cron("night")], ["start > night"])) == ["CF2004"]
    assert programs.codes(flow([MANUAL, value("x")], ["strat > x"])) == ["CF2001"]


# Fields named as ports


def test_a_result_field_that_is_named_out_or_error_has_no_port_of_its_own(
    programs: Programs, cloud: str
) -> None:
    """`error` of Step Functions' DescribeExecution is a field; its port would hide ours."""
    found = catalogue().get("aws.stepfunctions.describe_execution")
    assert found is not None
    properties: Any = (found.output_schema or {})["properties"]
    assert "error" in properties
    names = [port.name for port in found.outputs]
    assert len(names) == len(set(names))
    assert names[-1] == "error"

    pin = {"executionArn": "arn", "error": "States.TaskFailed"}
    nodes = [
        MANUAL,
        {
            "id": "execution",
            "type": "aws.stepfunctions.describe_execution",
            "config": {"executionArn": "arn:aws:states:us-east-1:123456789012:execution:a:b"},
            "pin": pin,
        },
        value("failed"),
        result("{{ nodes.execution.error }}"),
    ]
    edges = ["start > execution", "execution.error > failed", "execution > end"]
    ended = programs.run(flow(nodes, edges), pinned=True)
    assert ended.result == "States.TaskFailed"
    assert ended.statuses["failed"] == "skipped"
    unpinned = programs.run(flow(nodes, edges))
    assert unpinned.output("failed")["node"] == "execution"


# Names that Dagster refuses

REFUSED = sorted(
    {
        *("input", "output", "type", "config", "context", "conf", "meta", "int", "str", "dict"),
        *(word for word in keyword.kwlist if word.islower()),
    }
)


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_names_that_dagster_refuses_are_allowed_for_nodes(programs: Programs, way: Way) -> None:
    nodes = [value(id, id) for id in REFUSED]
    path = programs.write(chain(*nodes, result("{{ nodes }}")))
    ended = programs.run(path, way=way)

    assert ended.status == "success"
    assert ended.result == {id: id for id in REFUSED}
    assert set(ended.statuses) == {*REFUSED, "end"}


@pytest.mark.parametrize("id", ["input", "class", "config"])
def test_names_that_dagster_refuses_are_allowed_for_flows(programs: Programs, id: str) -> None:
    path = programs.write(chain(MANUAL, result("{{ run.flow }}")), id)
    programs.write(chain(MANUAL, call("call", id), result()), "calls")

    assert programs.run(path).result == id
    assert programs.run(path, way="dagster").result == id
    assert programs.run(programs.project.flows / "calls.json").result == id


def test_names_that_dagster_refuses_are_allowed_for_ports_and_loops(programs: Programs) -> None:
    cases = {name: "{{ item = '" + name + "' }}" for name in ("input", "type", "None", "class")}
    nodes = [
        MANUAL,
        loop("for", [*cases, "other"]),
        switch("if", **cases),
        *(value(f"at_{name.lower()}", name) for name in cases),
        value("lambda", "none"),
        value("join", "{{ input }}"),
        result("{{ nodes.for.results }}"),
    ]
    edges = [
        "start > for",
        "for.item > if",
        *(f"if.{name} > at_{name.lower()}" for name in cases),
        "if.default > lambda",
        *(f"at_{name.lower()} > join" for name in cases),
        "lambda > join",
        "for.done > end",
    ]
    ended = programs.run(flow(nodes, edges))

    assert ended.result == ["input", "type", "None", "class", "none"]


def test_a_port_that_dagster_refuses_outside_loops(programs: Programs) -> None:
    nodes = [MANUAL, switch("pick", input="{{ false }}", type="{{ true }}"), value("a"), value("b")]
    ended = programs.run(flow(nodes, ["start > pick", "pick.input > a", "pick.type > b"]))

    assert ended.statuses["a"] == "skipped"
    assert ended.statuses["b"] == "success"


def test_mangled_names_are_never_seen(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("type", 1), breaks("input"), value("class")))

    assert set(ended.statuses) == {"start", "type", "input", "class"}
    assert ended.error("input")["node"] == "input"
    assert dict(ended.told) == {"start": "success", "type": "success", "input": "failure"}
    assert "cf__" not in str(ended.summary)
    assert ended.ran == {"start", "type", "input"}
