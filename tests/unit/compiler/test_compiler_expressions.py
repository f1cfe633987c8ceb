"""What is found in expressions, at the character where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compiler.compiling import compiled, flow, found, loop, node, value

VOLUMES = node("volumes", "aws.ec2.describe_volumes")
PARAMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "env": {"type": "string", "default": "dev"},
        "min": {"type": "integer", "default": 1},
        "tags": {
            "type": "object",
            "properties": {"owner": {"type": "string"}},
            "additionalProperties": False,
        },
        "regions": {"type": "array", "items": {"type": "string"}, "default": []},
    },
}


def of(tmp_path: Path, text: Any) -> list[str]:
    """Return what is found in a transform after `volumes` that has this value."""
    return found(tmp_path, VOLUMES, value("here", text), to=["volumes > here"], params=PARAMS)


@pytest.mark.parametrize(
    "text",
    [
        "{{ nodes.volumes.Volumes.VolumeId }}",
        "{{ nodes.volumes.Volumes[0].Attachments.InstanceId }}",
        "{{ nodes.volumes.Volumes.Attachments[0].Device }}",
        "{{ $nodes.volumes.Volumes[Size > $params.min].VolumeId }}",
        "{{ nodes.volumes.Volumes.Tags[Key = 'Name'].Value }}",
        "{{ $map(nodes.volumes.Volumes, function($v) { $v.VolumeId }) }}",
        "{{ nodes.volumes.Volumes{VolumeType: $sum(Size)} }}",
        "{{ ($v := nodes.volumes.Volumes; $v.Size) }}",
        "{{ params.env & params.tags.owner & params.regions[0] }}",
        "{{ run.id & run.started_at & $string(run.attempt) & run.flow }}",
        "{{ trigger.payload.anything.at.all }}",
        "{{ vars.alerts_topic }}",
        "{{ input.Volumes[0].Size }}",
        "{{ $count(nodes.volumes.Volumes) }} of {{ params.env }}",
        "{{ '{{' }}",
        "{{ $now() }}",
        "{{ $string($) }}",
        {"a": ["{{ params.env }}", {"b": "{{ input }}"}]},
    ],
)
def test_good_expressions_are_left_alone(tmp_path: Path, text: Any) -> None:
    assert of(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ volumes.Volumes }}", "CF4002 @3 There is no `volumes` to read here. "
         "Did you mean `nodes.volumes`?"),
        ("{{ env }}", "CF4002 @3 There is no `env` to read here. Did you mean `params.env`?"),
        ("x {{ parms.env }}", "CF4002 @5 There is no `parms` to read here. "
         "Did you mean `params`?"),
        ("{{ $summ([1]) }}", "CF4003 @3 There is no function or variable `$summ`. "
         "Did you mean `$sum`?"),
        ("{{ $v.Size }}", "CF4003 @3 There is no function or variable `$v`."),
        ("{{ $eval('1') }}", "CF4004 @3 `$eval` does not exist: nothing is evaluated twice."),
        ("{{ nodes.volume.Volumes }}", "CF4005 @9 There is no node `volume`. "
         "Did you mean `volumes`?"),
        ("{{ $lookup(nodes, 'volume') }}", "CF4005 @18 There is no node `volume`. "
         "Did you mean `volumes`?"),
        ("{{ nodes.here }}", "CF4006 @3 `here` cannot read what it gives itself. "
         "In `until` and `compensate` that is `output`."),
        ("{{ item.VolumeId }}", "CF4008 @3 `here` is not in the body of a loop, so there is no "
         "`item`."),
        ("{{ $index }}", "CF4008 @3 `here` is not in the body of a loop, so there is no `index`."),
        ("{{ loops.each.item }}", "CF4009 @9 `here` is not in the body of a loop `each`."),
        ("{{ output }}", "CF4010 @3 There is no `output` before the node has run. What another "
         "node gave is `nodes.<id>`; what came in is `input`."),
        ("{{ params.enw }}", "CF4013 @10 The flow has no param `enw`. Did you mean `env`?"),
        ("{{ params.tags.ovner }}", "CF4015 @15 `params.tags` has no field `ovner`. "
         "Did you mean `owner`?"),
        ("{{ vars.alert_topic }}", "CF4014 @8 The project has no variable `vars.alert_topic`. "
         "Did you mean `alerts_topic`?"),
        ("{{ nodes.volumes.Volume }}", "CF4015 @17 `nodes.volumes` has no field `Volume`. "
         "Did you mean `Volumes`?"),
        ("{{ nodes.volumes.Volumes.VolumId }}", "CF4015 @25 `nodes.volumes.Volumes` has no field "
         "`VolumId`. Did you mean `VolumeId`?"),
        ("{{ nodes.volumes.Volumes[Sise > 3].Size }}", "CF4015 @25 `nodes.volumes.Volumes` has no "
         "field `Sise`. Did you mean `Size`?"),
        ("{{ input.Volumes.Attachments.Devise }}", "CF4015 @29 `input.Volumes.Attachments` has no "
         "field `Devise`. Did you mean `Device`?"),
        ("{{ nodes.volumes.Volumes.Size.Gigabytes }}", "CF4015 @30 `nodes.volumes.Volumes.Size` "
         "is a whole number and has no fields."),
        ("{{ run.name }}", "CF4015 @7 `run` has no field `name`. There are `id`, `started_at`, "
         "`attempt`, `flow`."),
        ("{{ trigger.payloat }}", "CF4015 @11 `trigger` has no field `payloat`. "
         "Did you mean `payload`?"),
        ("{{ nodes.volumes.Volumes[Size > params.min] }}", "CF4016 @32 `params` is looked up in "
         "each element here, and not found. Did you mean `$params`?"),
        ("{{ $secret('slack_webhook') }}", "CF4019 @3 `$secret` is not allowed in "
         "`generic.transform`: the value would be kept. Use it in the config of the node that "
         "sends it."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_at_its_character(tmp_path: Path, text: str, expected: str) -> None:
    code, place, rest = expected.split(" ", 2)
    assert of(tmp_path, text) == [f"{code} /nodes/1/config/value{place} {rest}"]


def test_a_syntax_error_is_placed_inside_the_text(tmp_path: Path) -> None:
    data = flow(value("here", "a {{ 1 + }}"))
    (diagnostic,) = compiled(tmp_path, data).diagnostics
    assert diagnostic.code == "CF4001"
    text = (tmp_path / "flows" / "example.json").read_text().splitlines()
    assert diagnostic.line is not None
    assert diagnostic.column is not None
    assert text[diagnostic.line - 1][diagnostic.column - 1 :].startswith(("+", "}", " }"))


def test_every_mistake_of_one_text_is_found(tmp_path: Path) -> None:
    lines = of(tmp_path, "{{ nodes.volume }} {{ params.enw }} {{ $foo() }}")
    assert [line.split(" ")[0] for line in lines] == ["CF4005", "CF4013", "CF4003"]


def test_only_what_lies_upstream_can_be_read(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        value("a", "{{ nodes.c }}"),
        value("b", "{{ nodes.other }}"),
        value("c", "{{ nodes.a }}"),
        value("other", 1),
        to=["a > b", "b > c"],
    )
    assert lines == [
        "CF4006 /nodes/0/config/value@3 `c` comes after `a`, which cannot read it.",
        "CF4006 /nodes/1/config/value@3 `other` does not come before `b`. "
        "Add an edge from `other` to `b`, or to something before it.",
    ]


def test_a_node_before_a_loop_can_be_read_in_its_body(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            value("before", 1),
            loop("each"),
            value("work", "{{ nodes.before + item }}"),
            to=["before > each", "each > work"],
        )
        == []
    )


def test_what_is_missing_before_a_body_goes_before_the_loop(tmp_path: Path) -> None:
    (line,) = found(
        tmp_path,
        value("other", 1),
        loop("each"),
        value("work", "{{ nodes.other }}"),
        to=["each > work"],
    )
    assert line.endswith("Add an edge from `other` to `each`, or to something before it.")


def test_a_body_cannot_be_read_from_outside_and_the_loop_not_from_inside(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        loop("each"),
        value("work", "{{ nodes.each.count }}"),
        value("after", "{{ nodes.work }}"),
        to=["each > work", "each.done > after"],
    )
    assert lines == [
        "CF4006 /nodes/1/config/value@3 The loop `each` gives nothing before its body, with this "
        "node, is done. The item that this is about is `item`.",
        "CF4007 /nodes/2/config/value@3 `work` is in the body of the loop `each`; outside it "
        "cannot be read. `nodes.each.results` holds what the body gave for each item.",
    ]


def test_an_inner_body_can_read_the_outer_one_and_not_the_other_way_round(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        loop("outer"),
        value("first", 1),
        loop("inner"),
        value("deep", "{{ nodes.first + loops.outer.item + loops.inner.index }}"),
        value("last", "{{ nodes.inner.results & nodes.deep }}"),
        to=["outer > first", "first > inner", "inner > deep", "inner.done > last"],
    )
    assert [line.split(" ")[:2] for line in lines] == [["CF4007", "/nodes/4/config/value@25"]]


def test_items_of_a_loop_have_the_fields_of_the_list_that_it_goes_over(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        VOLUMES,
        loop("each", "{{ nodes.volumes.Volumes }}"),
        loop("attached", "{{ item.Attachments }}"),
        value("work", "{{ item.Devise & loops.each.item.Sise & loops.each.name }}"),
        to=["volumes > each", "each > attached", "attached > work"],
    )
    assert [" ".join(line.split(" ")[2:]) for line in lines] == [
        "`item` has no field `Devise`. Did you mean `Device`?",
        "`loops.each.item` has no field `Sise`. Did you mean `Size`?",
        "`loops.each` has no field `name`. There are `item`, `index`.",
    ]


def test_items_in_batches_are_lists_of_which_nothing_is_checked(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            VOLUMES,
            loop("each", "{{ nodes.volumes.Volumes }}", batch_size=5),
            value("work", "{{ item.Sise }}"),
            to=["volumes > each", "each > work"],
        )
        == []
    )


def test_item_of_a_disabled_loop_is_not_there(tmp_path: Path) -> None:
    lines = found(
        tmp_path, loop("each") | {"disabled": True}, value("work", "{{ item }}"), to=["each > work"]
    )
    assert [line.split(" ")[0] for line in lines] == ["CF4008"]


def test_input_of_an_error_port_is_the_error(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        VOLUMES,
        value("undo", "{{ input.message & input.mesage }}"),
        to=["volumes.error > undo"],
    )
    assert lines == [
        "CF4015 /nodes/1/config/value@25 `input` has no field `mesage`. Did you mean `message`?"
    ]


def test_input_from_a_port_is_that_field(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        VOLUMES,
        value("ids", "{{ input.VolumId }}"),
        to=["volumes.Volumes > ids"],
    )
    assert [line.split(" ")[0] for line in lines] == ["CF4015"]


def test_output_has_the_fields_of_the_node_itself_in_until(tmp_path: Path) -> None:
    until = {"condition": "{{ output.Volumes[0].Stat = 'available' and nodes.volumes }}"}
    lines = found(tmp_path, VOLUMES | {"until": until})
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF4015", "/nodes/0/until/condition@21"],
        ["CF4006", "/nodes/0/until/condition@44"],
    ]


def test_before_a_run_there_is_little_to_read(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node(
            "nightly",
            "trigger.cron",
            config={
                "schedule": "0 2 * * *",
                "params": {"env": "{{ trigger.time & params.env & run.id & vars.alerts_topic }}"},
            },
        ),
        params=PARAMS,
        concurrency={"key": "{{ params.env & vars.alerts_topic }}"},
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF4012", "/concurrency/key@16"],
        ["CF4012", "/nodes/0/config/params/env@18"],
        ["CF4012", "/nodes/0/config/params/env@31"],
    ]


def test_a_secret_may_stand_where_it_is_sent_from_and_nowhere_else(tmp_path: Path) -> None:
    secret = "{{ $secret('slack_webhook') }}"
    request = {"url": secret, "method": "POST", "headers": {"X": f"Bearer {secret}"}}
    assert found(tmp_path, node("tell", "generic.http.request", config=request)) == []
    lines = found(
        tmp_path,
        node(
            "start",
            "trigger.manual",
            config={"params": {"env": secret}},
        ),
        node("wait", "logic.if", config={"condition": secret}),
        node("call", "flow.call", config={"flow": "example", "params": {"env": secret},
                                          "max_depth": 1}),
        VOLUMES | {"region": secret, "until": {"condition": secret}},
        node("tell", "generic.http.request", config=request),
        params=PARAMS,
        concurrency={"key": secret},
    )  # fmt: skip
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF4019", "/concurrency/key@3"],
        ["CF4019", "/nodes/0/config/params/env@3"],
        ["CF4019", "/nodes/1/config/condition@3"],
        ["CF4019", "/nodes/2/config/params/env@3"],
        ["CF4019", "/nodes/3/region@3"],
        ["CF4019", "/nodes/3/until/condition@3"],
    ]


def test_a_secret_is_named_literally_and_known(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("tell", "generic.http.request",
             config={"url": "{{ $secret('slack_webhok') & $secret(params.env) & $secret() }}"}),
        params=PARAMS,
    )  # fmt: skip
    assert [" ".join(line.split(" ")[2:]) for line in lines] == [
        "The project has no secret `slack_webhok`. Did you mean `slack_webhook`?",
        "`$secret` takes one name, in quotes. Write `$secret('name')`.",
        "`$secret` takes one name, in quotes. Write `$secret('name')`.",
    ]


def test_an_expression_cannot_be_the_name_of_a_field_a_case_or_a_credential(
    tmp_path: Path,
) -> None:
    lines = found(
        tmp_path,
        node("by", "logic.switch", config={"cases": [{"name": "{{ params.env }}", "when": True}]}),
        node("all", "logic.switch", config={"cases": "{{ trigger.payload }}"}),
        value("keys", {"a": {"{{ params.env }}": 1}}),
        VOLUMES | {"credential": "{{ params.env }}"},
        params=PARAMS,
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF4020", "/nodes/0/config/cases/0/name"],
        ["CF4020", "/nodes/1/config/cases"],
        ["CF4020", "/nodes/2/config/value/a/{{"],
        ["CF4020", "/nodes/3/credential"],
    ]


def test_code_is_never_looked_at_for_expressions(tmp_path: Path) -> None:
    code = "def main(inputs):\n    return f'{{item}} {{ nodes. }}'"
    assert found(tmp_path, node("run", "generic.code", config={"code": code})) == []


@pytest.mark.parametrize(
    ("field", "text", "fits"),
    [
        ("VolumeId", "{{ nodes.volumes.Volumes[0].VolumeId }}", True),
        ("VolumeId", "{{ nodes.volumes.Volumes.VolumeId }}", True),
        ("VolumeId", "{{ nodes.volumes.Volumes }}", False),
        ("VolumeId", "{{ nodes.volumes.Volumes[0] }}", False),
        ("VolumeId", "{{ nodes.volumes.Volumes[0].Size }}", False),
        ("VolumeId", "vol-{{ nodes.volumes.Volumes[0].Size }}", True),
        ("VolumeId", "{{ $string(nodes.volumes.Volumes[0].Size) }}", True),
        ("VolumeId", "{{ params.min }}", False),
        ("VolumeId", "{{ params.env }}", True),
        ("VolumeId", "{{ trigger.payload.id }}", True),
        ("VolumeId", "{{ run.attempt }}", False),
        ("DryRun", "{{ params.env }}", False),
        ("DryRun", "x{{ params.env }}", False),
        ("DryRun", "{{ params.env = 'dev' }}", True),
        ("TagSpecifications", "{{ params.env }}", False),
        ("TagSpecifications", "{{ nodes.volumes.Volumes[0].Tags }}", True),
    ],
)
def test_a_value_of_a_type_that_cannot_fit_its_field_is_found(
    tmp_path: Path, field: str, text: str, fits: bool
) -> None:
    lines = found(
        tmp_path,
        VOLUMES,
        node("snapshot", "aws.ec2.create_snapshot", config={"VolumeId": "v", field: text}),
        to=["volumes > snapshot"],
        params=PARAMS,
    )
    expected = [] if fits else [["CF4021", f"/nodes/1/config/{field}@"]]
    assert [[line.split(" ")[0], line.split(" ")[1].rstrip("0123456789")] for line in lines] == (
        expected
    )


def test_a_single_value_fits_where_a_list_of_such_values_is_asked_for(tmp_path: Path) -> None:
    config = {"VolumeIds": "{{ nodes.volumes.Volumes[0].VolumeId }}"}
    lines = found(
        tmp_path,
        VOLUMES,
        node("again", "aws.ec2.describe_volumes", config=config),
        to=["volumes > again"],
    )
    assert lines == []


def test_an_edge_cannot_feed_a_field_with_what_does_not_fit(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        VOLUMES,
        node("snapshot", "aws.ec2.create_snapshot"),
        to=["volumes.Volumes > snapshot.VolumeId"],
    )
    assert lines == [
        "CF4021 /edges/0/target_port `VolumeId` must be text, but this edge carries a list."
    ]


def test_a_shadowed_name_that_the_elements_have_is_meant(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        value("data", [{"item": 1}]),
        value("here", "{{ nodes.data[item = 1] }}"),
        to=["data > here"],
    )
    assert lines == []


def test_names_in_elements_of_which_the_fields_are_known(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        loop("each"),
        VOLUMES,
        value("here", "{{ nodes.volumes.Volumes[VolumeId = item] }}"),
        to=["each > volumes", "volumes > here"],
    )
    assert [line.split(" ")[0] for line in lines] == ["CF4016"]
