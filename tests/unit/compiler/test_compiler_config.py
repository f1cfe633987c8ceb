"""What is found in configs, credentials, pins, params and calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.compiler.pipeline import compile_file, compile_flow
from cloudflow_dagster.diagnostics import FlowError
from cloudflow_dagster.flow.model import Flow
from tests.unit.compiler.compiling import compiled, flow, found, loop, node, value

KEEP = {
    "type": "object",
    "properties": {"keep": {"type": "integer"}, "env": {"type": "string", "default": "dev"}},
    "required": ["keep"],
}
START = node("start", "trigger.manual")


def test_config_is_compared_with_the_schema_of_its_node_type_at_any_depth(tmp_path: Path) -> None:
    config = {
        "VolumeId": 7,
        "Descripton": "x",
        "TagSpecifications": [{"ResourceType": "snapshot", "Tags": [{"Kee": "a"}]}],
    }
    assert found(tmp_path, node("snapshot", "aws.ec2.create_snapshot", config=config)) == [
        "CF3001 /nodes/0/config/VolumeId `VolumeId` must be text, not a whole number. "
        "Put it into quotes.",
        "CF3002 /nodes/0/config/Descripton `aws.ec2.create_snapshot` has no field `Descripton`. "
        "Did you mean `Description`?",
        "CF3002 /nodes/0/config/TagSpecifications/0/Tags/0/Kee `TagSpecifications[0].Tags[0]` "
        "has no field `Kee`. Did you mean `Key`?",
    ]


@pytest.mark.parametrize(
    ("expression", "problems"),
    [
        ("{{ 'seven' }}", ["CF4021 /nodes/0/config/Size@2 `Size` must be a whole number, but "
                           "`'seven'` is text."]),
        ("{{ true }}", ["CF4021 /nodes/0/config/Size@2 `Size` must be a whole number, but "
                        "`true` is true or false."]),
        ("{{ 2.0 }}", []),
        ("{{ 7 }}", []),
    ],
)  # fmt: skip
def test_an_expression_that_is_a_value_is_judged_as_one(
    tmp_path: Path, expression: str, problems: list[str]
) -> None:
    config = {"AvailabilityZone": "eu-central-1a", "Size": expression}
    assert found(tmp_path, node("volume", "aws.ec2.create_volume", config=config)) == problems


def test_a_missing_field_is_placed_at_the_node_if_it_has_no_config(tmp_path: Path) -> None:
    assert found(tmp_path, node("snapshot", "aws.ec2.create_snapshot")) == [
        "CF3003 /nodes/0 `snapshot` (aws.ec2.create_snapshot) needs `VolumeId`."
    ]


def test_an_unknown_field_is_placed_at_its_key(tmp_path: Path) -> None:
    data = flow(node("each", "logic.loop", config={"items": [], "concurency": 5}))
    result = compiled(tmp_path, data)
    text = result.document.text.splitlines()
    (diagnostic,) = [d for d in result.diagnostics if d.code == "CF3002"]
    assert diagnostic.line is not None
    assert diagnostic.column is not None
    assert text[diagnostic.line - 1][diagnostic.column - 1 :].startswith('"concurency"')


def test_what_the_node_type_itself_refuses_is_reported(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("start", "trigger.cron", config={"schedule": "0 25 * * *", "timezone": "Europe/Bern"}),
        node("wait", "logic.wait", config={"seconds": 1, "until": "{{ trigger.time }}"}),
        node("by", "logic.switch", config={"cases": [
            {"name": "big", "when": True}, {"name": "big", "when": True}]}),
    )  # fmt: skip
    assert {line.split(" ")[0] for line in lines} == {"CF3004"}
    assert [line.split(" ")[1] for line in lines] == [
        "/nodes/0/config/schedule",
        "/nodes/0/config/timezone",
        "/nodes/1/config/until",
        "/nodes/2/config/cases/1/name",
    ]


def test_fields_that_do_not_go_together_are_reported_and_fed_ones_count(tmp_path: Path) -> None:
    name = {"zone": "shop.example", "name": "www.shop.example"}
    lines = found(
        tmp_path,
        START,
        node("front", "aws.cloudfront.distribution", config={"name": "shop", "bucket": "shop"}),
        node("none", "aws.route53.record", config=name),
        node("both", "aws.route53.record", config={**name, "alias": "{{ nodes.front }}", "ttl": 9}),
        node("fed", "aws.route53.record", config=name),
        node("well", "aws.route53.record", config={**name, "alias": "{{ nodes.front }}"}),
        to=["start > front", "front > none", "front > both", "front > fed.alias", "front > well"],
    )
    assert lines == [
        "CF3004 /nodes/2/config Give either `values` or `alias`.",
        "CF3004 /nodes/3/config An `alias` is remembered as long as what it stands for: leave out "
        "`ttl`.",
    ]


def test_a_place_that_is_wrong_already_is_not_judged_again(tmp_path: Path) -> None:
    lines = found(tmp_path, node("start", "trigger.cron", config={"schedule": 5}))
    assert [line.split(" ")[0] for line in lines] == ["CF3001"]


def test_credentials_are_known_and_of_the_right_provider(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        node("a", "aws.ec2.describe_volumes", credential="aws_prod"),
        node("b", "aws.ec2.describe_volumes", credential="aws_prdo"),
        node("c", "aws.ec2.describe_volumes", credential="gcp_data"),
    )
    assert lines == [
        "CF3005 /nodes/1/credential The project has no credential `aws_prdo`. "
        "Did you mean `aws_prod`?",
        "CF3006 /nodes/2/credential `gcp_data` is a credential of gcp; aws.ec2.describe_volumes "
        "needs aws. There is `aws_prod`.",
    ]


def test_without_a_project_its_names_are_not_checked(tmp_path: Path) -> None:
    data = flow(
        node("a", "aws.ec2.describe_volumes", credential="anything"),
        node("tell", "generic.http.request",
             config={"url": "{{ $secret('x') & vars.y }}", "method": "POST"}),
        node("call", "flow.call", config={"flow": "somewhere"}),
        on_failure="elsewhere",
    )  # fmt: skip
    assert compiled(tmp_path, data).failed
    plan = compile_flow(tmp_path / "flows" / "example.json")
    assert (plan.flow, plan.calls, plan.on_failure) == ("example", ("somewhere",), "elsewhere")


def test_a_pin_unlike_the_output_is_a_warning_and_a_part_of_it_is_not(tmp_path: Path) -> None:
    volumes = node("volumes", "aws.ec2.describe_volumes")
    assert found(tmp_path, volumes | {"pin": {"Volumes": [{"VolumeId": "v"}]}}) == []
    assert found(tmp_path, volumes | {"pin": None}) == []
    result = compiled(tmp_path, flow(volumes | {"pin": {"Volumes": [{"VolumId": "v"}]}}))
    assert [d.code for d in result.diagnostics] == ["CF3007"]
    assert result.plan is not None


def test_a_default_must_fit_its_param(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        START,
        params={
            "type": "object",
            "properties": {
                "a": {"type": "integer", "default": "x"},
                "b": {"$ref": "#/$defs/size", "default": 0},
                "c": {"type": "array", "items": {"type": "string"}, "default": ["x", 1]},
                "d": {"type": "string", "pattern": "^(a+)+$", "default": "a" * 60 + "!"},
                "e": {"enum": ["{{", "dev"], "default": "{{"},
            },
            "$defs": {"size": {"type": "integer", "minimum": 1}},
        },
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF5001", "/params/properties/a/default"],
        ["CF5001", "/params/properties/b/default"],
        ["CF5001", "/params/properties/c/default/1"],
        ["CF5001", "/params/properties/d/default"],
    ]


def test_a_required_param_must_be_filled_by_every_automatic_trigger(tmp_path: Path) -> None:
    cron = {"schedule": "0 2 * * *"}
    lines = found(
        tmp_path,
        START,
        node("bare", "trigger.cron", config=cron),
        node("full", "trigger.cron", config={**cron, "params": {"keep": 7}}),
        node("other", "trigger.cron", config={**cron, "params": {"env": "x"}}),
        node("off", "trigger.cron", config=cron, disabled=True),
        params=KEEP,
    )
    assert [line.split(" ")[:2] for line in lines] == [
        ["CF5002", "/nodes/1"],
        ["CF5002", "/nodes/3/config/params"],
    ]


@pytest.mark.parametrize(
    ("filled", "expected"),
    [
        ({"keep": 7, "env": "{{ trigger.time }}"}, []),
        ({"keep": "{{ trigger.payload.keep }}"}, []),
        ({"keep": "{{ trigger.time }}"}, ["CF5004 /nodes/0/config/params/keep@2"]),
        ({"keep": "7"}, ["CF5004 /nodes/0/config/params/keep"]),
        ({"keep": 7, "enw": "x"}, ["CF5003 /nodes/0/config/params/enw"]),
    ],
)
def test_what_a_trigger_fills_must_be_params_that_fit(
    tmp_path: Path, filled: dict[str, Any], expected: list[str]
) -> None:
    config = {"schedule": "0 2 * * *", "params": filled}
    lines = found(tmp_path, node("start", "trigger.cron", config=config), params=KEEP)
    assert [" ".join(line.split(" ")[:2]) for line in lines] == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"keep": 7}, []),
        ({"keep": "{{ nodes.size.value }}"}, []),
        ("{{ nodes.size }}", []),
        (None, ["CF5006 /nodes/1/config The flow `other` needs the param `keep`."]),
        ({}, ["CF5006 /nodes/1/config/params The flow `other` needs the param `keep`."]),
        ({"keep": "x"}, ["CF5006 /nodes/1/config/params/keep `keep` must be a whole number, not "
                         "text."]),
        ({"keep": "x{{ nodes.size }}"}, ["CF5006 /nodes/1/config/params/keep@0 `keep` must be a "
                                         "whole number, but text with values put in is text."]),
        ({"keep": 7, "enw": "x"}, ["CF5006 /nodes/1/config/params/enw The flow `other` has no "
                                   "param `enw`. Did you mean `env`?"]),
    ],
)  # fmt: skip
def test_params_of_a_call_must_fit_the_called_flow(
    tmp_path: Path, params: Any, expected: list[str]
) -> None:
    config = {"flow": "other"} | ({} if params is None else {"params": params})
    data = flow(value("size", 1), node("call", "flow.call", config=config), to=["size > call"])
    result = compiled(tmp_path, data, other=flow(START, params=KEEP))
    lines = [
        " ".join(
            p
            for p in (
                d.code,
                str(d.at.pointer) + (f"@{d.at.offset}" if d.at.offset is not None else ""),
                d.message,
                d.suggestion,
            )
            if p
        )
        for d in result.diagnostics
    ]
    assert lines == expected


def test_a_call_of_a_broken_flow_is_no_mistake_of_the_caller(tmp_path: Path) -> None:
    data = flow(node("call", "flow.call", config={"flow": "other", "params": {"x": 1}}))
    assert compiled(tmp_path, data, other={"version": 1, "nodes": 5}).diagnostics == ()


def test_a_flow_is_found_by_its_written_id(tmp_path: Path) -> None:
    data = flow(node("call", "flow.call", config={"flow": "real_name"}))
    assert compiled(tmp_path, data, other=flow(START, id="real_name")).diagnostics == ()
    alone = compile_file(tmp_path / "flows" / "example.json", project=None)
    assert alone.diagnostics == ()


def test_flows_that_reach_each_other_need_a_limit_on_every_call(tmp_path: Path) -> None:
    there = flow(node("call", "flow.call", config={"flow": "other"}))
    back = flow(node("call", "flow.call", config={"flow": "example"}))
    result = compiled(tmp_path, there, other=back)
    assert [(d.code, d.message) for d in result.diagnostics] == [
        ("CF5007", "The flow reaches itself: `example` → `other` → `example`.")
    ]
    limited_back = flow(node("call", "flow.call", config={"flow": "example", "max_depth": 3}))
    half = compiled(tmp_path, there, other=limited_back)
    assert [d.code for d in half.diagnostics] == ["CF5007"]
    limited = flow(node("call", "flow.call", config={"flow": "other", "max_depth": 3}))
    assert compiled(tmp_path, limited, other=limited_back).diagnostics == ()
    disabled = flow(node("call", "flow.call", config={"flow": "example"}, disabled=True))
    assert compiled(tmp_path, there, other=disabled).diagnostics == ()


def test_a_flow_above_a_circle_is_not_to_blame_for_it(tmp_path: Path) -> None:
    above = flow(node("call", "flow.call", config={"flow": "one"}))
    one = flow(node("call", "flow.call", config={"flow": "two"}))
    two = flow(node("call", "flow.call", config={"flow": "one"}))
    assert compiled(tmp_path, above, one=one, two=two).diagnostics == ()


def test_on_failure_must_name_a_flow_and_not_lead_back(tmp_path: Path) -> None:
    there = flow(START, on_failure="other")
    assert compiled(tmp_path, there, other=flow(START)).diagnostics == ()
    back = compiled(tmp_path, there, other=flow(START, on_failure="example"))
    assert [d.message for d in back.diagnostics] == [
        "A failure would start runs for ever: `example` → `other` → `example`."
    ]
    above = compiled(tmp_path, there, other=flow(START, on_failure="other"))
    assert above.diagnostics == ()


def test_what_is_not_supported_yet_says_so(tmp_path: Path) -> None:
    lines = found(tmp_path, START, mode="architecture")
    assert lines == ["CF9006 /mode Architecture mode is not supported yet."]


@pytest.mark.parametrize(
    "config",
    [
        {"seconds": 60},
        {"seconds": 86_400},
        {"seconds": "{{ params.s }}"},
        {"until": "{{ trigger.time }}"},
        {"until": "2026-01-31T08:00:00Z"},
        {"approval": {"message": "Go on?", "approvers": ["ops"]}},
        {"resume": True},
    ],
)
def test_a_wait_may_take_as_long_as_it_takes(tmp_path: Path, config: dict[str, Any]) -> None:
    params = {"type": "object", "properties": {"s": {"type": "integer", "default": 1}}}
    assert found(tmp_path, node("w", "logic.wait", config=config), params=params) == []


def test_loops_have_bodies(tmp_path: Path) -> None:
    assert found(tmp_path, loop("each")) == [
        "CF2018 /nodes/0 Nothing hangs on `item` of the loop `each`."
    ]


def test_compiling_a_broken_flow_raises_all_that_was_found(tmp_path: Path) -> None:
    compiled(tmp_path, flow(node("a", "no.such"), node("b", "logic.loop", config={"items": []})))
    with pytest.raises(FlowError) as raised:
        compile_flow(str(tmp_path / "flows" / "example.json"))
    assert [d.code for d in raised.value.diagnostics] == ["CF1011", "CF2018"]
    assert all(d.line for d in raised.value.diagnostics)


def test_a_flow_made_in_python_is_compiled_too() -> None:
    made = Flow.model_validate(flow(value("a", 1), id="made"))
    plan = compile_flow(made)
    assert (plan.flow, [step.id for step in plan.steps]) == ("made", ["a"])
    with pytest.raises(FlowError, match=r"made\.json:1:1: CF1011"):
        compile_flow(Flow.model_validate(flow(node("a", "no.such"), id="made")))
