"""What is found about nodes, edges, loops and settings, with its place and its way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compiler.compiling import compiled, flow, found, loop, node, value


def test_an_unknown_node_type_is_one_finding_whatever_hangs_on_it(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        node("each", "logic.lop", config={"items": 5, "code": "f'{{'"}),
        value("work", "{{ item.VolumeId & nodes.each.results }}"),
        to=["each.item > work", "each.done > work.value"],
    ) == ["CF1011 /nodes/0/type There is no node type `logic.lop`. Did you mean `logic.loop`?"]


def test_an_unknown_operation_of_aws_suggests_the_one_that_was_meant(tmp_path: Path) -> None:
    assert found(tmp_path, node("v", "aws.ec2.create_snapshoot")) == [
        "CF1011 /nodes/0/type There is no node type `aws.ec2.create_snapshoot`. "
        "Did you mean `aws.ec2.create_snapshot`?"
    ]


def test_of_many_wrong_names_only_the_first_get_suggestions(tmp_path: Path) -> None:
    types = found(tmp_path, *(node(f"n{n}", f"logic.lop{n}") for n in range(60)))
    assert [("Did you mean" in text) for text in types] == [True] * 50 + [False] * 10

    nodes = [
        value(f"number_{n}", f"{{{{ nodes.nmber_{n} }}}}", parent="nmber_1") for n in range(400)
    ]
    to = [f"number_{n} > nmber_{n}" for n in range(400)]
    names = found(tmp_path, *nodes, to=to)
    wrong = [text for text in names if "There is no node" in text]
    suggested = [text for text in wrong if "Did you mean" in text]
    assert (len(wrong), len(suggested)) == (1200, 250)  # each is compared with 400


def test_an_unknown_node_at_an_edge_is_one_finding_with_its_place(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        value("volumes", 1),
        value("ids", "{{ nodes.volumes }}"),
        to=["volumes > idz"],
    ) == ["CF2001 /edges/0/target There is no node `idz`. Did you mean `ids`?"]


def test_a_disabled_edge_must_name_what_exists(tmp_path: Path) -> None:
    data = flow(value("a", 1))
    data["edges"] = [{"source": "a", "target": "b", "disabled": True}]
    lines = [d.code for d in compiled(tmp_path, data).diagnostics]
    assert lines == ["CF2001"]


def test_an_unknown_output_port_is_one_finding_whatever_follows(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        loop("each"),
        value("work", "{{ item + index + loops.each.item }}"),
        to=["each.itm > work"],
    ) == [
        "CF2002 /edges/0/source_port `each` (logic.loop) has no output port `itm`. "
        "Did you mean `item`?"
    ]


def test_few_ports_are_all_named(tmp_path: Path) -> None:
    (line,) = found(
        tmp_path,
        node("hot", "logic.if", config={"condition": True}),
        value("a", 1),
        to=["hot.yes > a"],
    )
    assert line.endswith("There are `true`, `false`, `error`.")


def test_ports_of_a_switch_with_wrong_cases_are_not_guessed_at(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("by", "logic.switch", config={"cases": [{"name": "big"}]}),
        value("a", 1),
        to=["by.big > a"],
    )
    assert lines == ["CF3003 /nodes/0/config/cases/0 `cases[0]` needs `when`."]


def test_an_edge_can_feed_a_field_that_is_required(tmp_path: Path) -> None:
    snapshot = node("snapshot", "aws.ec2.create_snapshot")
    assert found(tmp_path, value("one", "v"), snapshot, to=["one > snapshot.VolumeId"]) == []


def test_a_misspelt_field_at_an_edge_is_one_finding(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        value("one", "v"),
        node("snapshot", "aws.ec2.create_snapshot"),
        to=["one > snapshot.VolumId"],
    ) == [
        "CF2003 /edges/0/target_port `snapshot` (aws.ec2.create_snapshot) has neither an input "
        "port nor a field `VolumId`. Did you mean `VolumeId`?"
    ]


def test_a_disabled_trigger_takes_no_edges_either(tmp_path: Path) -> None:
    start = node("start", "trigger.manual", disabled=True)
    (line,) = found(tmp_path, value("a", 1), start, to=["a > start"])
    assert line == "CF2004 /edges/0/target `start` is a trigger; no edge can lead into it."


def test_a_circle_is_shown_with_its_nodes(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        value("a", "{{ nodes.c }}"),
        value("b", 1),
        value("c", 1),
        to=["a > b", "b > c", "c > a"],
    )
    assert lines == [
        "CF2005 /edges/2 The edges go round in a circle: `a` → `b` → `c` → `a`. "
        "Take away one of these edges, or disable it."
    ]


def test_a_long_circle_is_shortened(tmp_path: Path) -> None:
    ids = [f"n{number}" for number in range(20)]
    to = [f"{a} > {b}" for a, b in zip(ids, [*ids[1:], ids[0]], strict=True)]
    (line,) = found(tmp_path, *(value(id, 1) for id in ids), to=to)
    assert "`n0` → `n1` → `n2` → `n3` → … 14 more … → `n18` → `n19` → `n0`" in line


def test_the_same_edge_twice_and_a_field_fed_twice(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        value("one", 1),
        value("two", 1),
        to=[
            "one > two",
            "one.out > two.in",
            "one.error > two",
            "one > two.value",
            "one.error > two.value",
        ],
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF2006", "/edges/1"],
        ["CF2007", "/edges/4/target_port"],
    ]


def test_disabled_edges_can_repeat_others(tmp_path: Path) -> None:
    data = flow(value("a", 1), value("b", 1), to=["a > b", "a > b"])
    data["edges"][1]["disabled"] = True
    assert compiled(tmp_path, data).diagnostics == ()


def test_the_edge_that_leaves_a_body_is_named_and_where_it_should_start(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        loop("each"),
        value("work", 1),
        node("report", "flow.result", config={"value": 1}),
        to=["each > work", "work > report", "each.done > report"],
    ) == [
        "CF2009 /edges/1 `work` is in the body of the loop `each`, and `report` can also be "
        "reached another way. Hang `report` on `done` of `each`."
    ]


def test_the_error_port_of_a_body_does_not_lead_out_of_it(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        loop("each"),
        value("work", 1),
        value("alert", 1),
        to=["each > work", "work.error > alert", "each.done > alert"],
    )
    assert [line.split(" ")[0] for line in lines] == ["CF2009"]


def test_a_result_in_a_nested_body_names_the_outermost_loop(tmp_path: Path) -> None:
    (line,) = found(
        tmp_path,
        loop("outer"),
        loop("inner"),
        node("result", "flow.result", config={"value": 1}),
        to=["outer > inner", "inner > result"],
    )
    assert line.startswith("CF2010 /nodes/2 ")
    assert line.endswith("Hang it on `done` of `outer`.")


def test_parents_must_exist_and_not_lead_back(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        value("a", 1, parent="b"),
        value("b", 1, parent="c"),
        value("c", 1, parent="b"),
        value("d", 1, parent="missing"),
        value("e", 1, parent="e"),
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF2013", "/nodes/1/parent"],
        ["CF2012", "/nodes/3/parent"],
        ["CF2013", "/nodes/4/parent"],
    ]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (node("t", "trigger.manual", retry={"max_attempts": 2}), "CF2015", "retry"),
        (node("t", "trigger.manual", timeout=5), "CF2015", "timeout"),
        (node("t", "trigger.manual", on_error="continue"), "CF2015", "on_error"),
        (value("t", 1, credential="aws_prod"), "CF2015", "credential"),
        (value("t", 1, region="eu-west-1"), "CF2015", "region"),
        (node("t", "trigger.manual", until={"condition": "{{ true }}"}), "CF2016", "until"),
        (
            node("t", "logic.if", config={"condition": True}, until={"condition": "{{ true }}"}),
            "CF2016",
            "until",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_reported(
    tmp_path: Path, given: dict[str, Any], code: str, field: str
) -> None:
    (line,) = found(tmp_path, given)
    assert line.split(" ")[:2] == [code, f"/nodes/0/{field}"]


def test_only_the_first_of_a_row_that_never_runs_is_reported(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("start", "trigger.manual", disabled=True),
        value("a", 1),
        value("b", 1),
        to=["start > a", "a > b"],
    )
    assert lines == ["CF2017 /nodes/1 `a` never runs: nothing that leads to it can deliver."]


def test_a_disabled_node_goes_on_at_its_first_port_only(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("hot", "logic.if", config={"condition": True}, disabled=True),
        value("yes", 1),
        value("no", 1),
        to=["hot.true > yes", "hot.false > no"],
    )
    assert [line.split(" ")[:2] for line in lines] == [["CF2017", "/nodes/2"]]


def test_what_is_disabled_is_not_checked_but_for_its_type(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            node(
                "snapshot",
                "aws.ec2.create_snapshot",
                disabled=True,
                credential="nobody",
                config={"Volume": "{{ item. }}"},
            ),
        )
        == []
    )


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    result = compiled(
        tmp_path,
        flow(
            node("start", "trigger.manul"),
            node("volumes", "aws.ec2.describe_volumes", config={"MaxResult": 5}),
            node("snapshot", "aws.ec2.create_snapshot", config={"VolumeId": 5}),
            value("sum", "{{ $summ(params.numbers) + }}"),
            to=["start > volumes", "volumes > snapshott"],
        ),
    )
    assert [d.code for d in result.diagnostics] == [
        "CF1011",
        "CF3002",
        "CF3001",
        "CF4001",
        "CF2001",
    ]
    lines = [d.line for d in result.diagnostics]
    assert None not in lines
    assert lines == sorted(line for line in lines if line is not None)
    assert result.plan is None


def test_a_part_of_the_wrong_shape_does_not_hide_what_is_wrong_elsewhere(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("snapshot", "aws.ec2.create_snapshot", confg={"VolumeId": "v"}),
        node("other", "aws.ec2.create_snapshoot", config={}),
        value("sum", "{{ $summ([1]) & params.anything & nodes.snapshot.SnapshotI }}"),
        to=["snapshot > sum"],
        params={"anything": {"type": "string"}},
        colour="red",
    )
    assert sorted(line.split(" ")[:2] for line in lines) == [
        ["CF1002", "/colour"],
        ["CF1002", "/nodes/0/confg"],
        ["CF1008", "/params"],
        ["CF1011", "/nodes/1/type"],
        ["CF4003", "/nodes/2/config/value@3"],
        ["CF4015", "/nodes/2/config/value@49"],
    ]
