"""The flow format, "Diagnostics" and "Canonical form", with the `cloudflow` command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.fixtures.programs import (
    MANUAL,
    CommandLine,
    Programs,
    breaks,
    chain,
    flow,
    get,
    if_,
    params,
    result,
    value,
)
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration

WRONG = """\
{
  "version": 1,
  "nodes": [
    {"id": "start", "type": "trigger.manual"},
    {"id": "volumes", "type": "aws.ec2.describe_volumes",
     "config": {"VolumeIDs": ["vol-1"], "MaxResults": "{{ nodes.strat }}"}},
    {"id": "pause", "type": "logic.wait", "config": {"seconds": 300},
     "compensate": {"type": "generic.transform", "config": {"value": 1}}}
  ],
  "edges": [
    {"source": "start", "target": "volumes"},
    {"source": "volumes", "target": "puase"}
  ]
}
"""


def torn(programs: Programs, text: str, id: str = "wrong") -> Path:
    path = programs.project.flows / f"{id}.json"
    path.write_text(text)
    return path


# Diagnostics


def test_check_prints_a_list_of_objects_with_all_problems_at_once(
    programs: Programs, cloudflow: CommandLine
) -> None:
    torn(programs, WRONG)
    said = cloudflow("check", "wrong", "--format", "json")
    found = {d["code"]: d for d in said.json}

    assert said.status == 1
    assert set(found) == {"CF3002", "CF4005", "CF2019", "CF2001"}
    assert found["CF3002"] == {
        "severity": "error",
        "code": "CF3002",
        "file": "flows/wrong.json",
        "pointer": "/nodes/1/config/VolumeIDs",
        "line": 6,
        "column": 17,
        "node": "volumes",
        "message": found["CF3002"]["message"],
        "suggestion": "Did you mean `VolumeIds`?",
    }
    assert "VolumeIDs" in found["CF3002"]["message"]
    assert (found["CF4005"]["line"], found["CF4005"]["column"]) == (6, 65)
    assert "start" in found["CF4005"]["suggestion"]
    assert found["CF2001"]["node"] == "volumes"
    assert found["CF2001"]["pointer"] == "/edges/1/target"
    assert all(d["code"][:2] == "CF" and len(d["code"]) == 6 for d in said.json)


def test_check_prints_text_with_the_offending_line(
    programs: Programs, cloudflow: CommandLine
) -> None:
    torn(programs, WRONG)
    said = cloudflow("check")

    assert said.status == 1
    text = said.out + said.err
    assert "flows/wrong.json:6:17: error CF3002" in text
    assert '"config": {"VolumeIDs": ["vol-1"]' in text
    assert "Did you mean `VolumeIds`?" in text


def test_check_prints_sarif_for_code_hosts(programs: Programs, cloudflow: CommandLine) -> None:
    torn(programs, WRONG)
    said = cloudflow("check", "--format", "sarif")
    (run,) = said.json["runs"]
    place = next(r for r in run["results"] if r["ruleId"] == "CF3002")["locations"][0][
        "physicalLocation"
    ]

    assert said.json["version"] == "2.1.0"
    assert place["artifactLocation"]["uri"] == "flows/wrong.json"
    assert place["region"]["startLine"] == 6
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} >= {"CF3002", "CF2019"}


def test_check_ends_with_0_where_no_error_was_found_and_2_where_it_could_not_work(
    programs: Programs, cloudflow: CommandLine, tmp_path: Path
) -> None:
    """A warning is no error."""
    programs.write(chain(MANUAL, value("one", 1)), "fine")
    bom = torn(programs, "", "warned")
    bom.write_bytes(b"\xef\xbb\xbf" + json.dumps(chain(MANUAL)).encode())
    said = cloudflow("check", "--format", "json")
    assert said.status == 0
    assert [d["severity"] for d in said.json] == ["warning"]

    assert cloudflow("check", "no_such_flow").status == 2
    assert cloudflow("check", "--format", "xml").status == 2
    outside = tmp_path / "fine.json"
    outside.write_text(json.dumps(chain(MANUAL)))
    assert cloudflow("check", outside).status == 0


def test_one_broken_file_leaves_the_others_runnable(
    programs: Programs, cloudflow: CommandLine
) -> None:
    torn(programs, '{"version": 1, "nodes": [')
    programs.write(chain(MANUAL, result(1)), "fine")

    assert cloudflow("check").status == 1
    said = cloudflow("run", "fine", "--format", "json")
    assert (said.status, said.json["result"]) == (0, 1)


# cloudflow run


def test_run_prints_one_object_and_nothing_else(programs: Programs, cloudflow: CommandLine) -> None:
    nodes = [
        MANUAL,
        breaks("caught"),
        if_("ask", "{{ false }}"),
        value("skipped", 1),
        result({"a": "ü", "n": 2**60}),
    ]
    edges = ["start > caught", "caught.error > ask", "ask.true > skipped", "ask.false > end"]
    programs.write(flow(nodes, edges), "one")
    said = cloudflow("run", "one", "--format", "json")

    assert said.status == 0
    assert said.json.keys() == {"run_id", "status", "result", "nodes"}
    assert said.json["status"] == "success"
    assert said.json["result"] == {"a": "ü", "n": 2**60}
    assert set(said.json["nodes"]) == {n["id"] for n in nodes}
    for node in said.json["nodes"].values():
        assert node.keys() == {"status", "output", "error", "attempts"}
    assert said.json["nodes"]["end"] == {
        "status": "success",
        "output": {"a": "ü", "n": 2**60},
        "error": None,
        "attempts": 1,
    }
    assert said.json["nodes"]["caught"]["status"] == "failure"
    assert said.json["nodes"]["caught"]["error"]["code"] == "ExpressionError"
    assert said.json["nodes"]["skipped"]["status"] == "skipped"
    assert programs.instance.get_run_by_id(said.json["run_id"]) is not None


def test_run_ends_with_1_for_failure(programs: Programs, cloudflow: CommandLine) -> None:
    programs.write(chain(MANUAL, breaks("bad"), value("after")), "bad")
    said = cloudflow("run", "bad", "--format", "json")

    assert said.status == 1
    assert said.json["status"] == "failure"
    assert said.json["nodes"]["after"] == {
        "status": "not_run",
        "output": None,
        "error": None,
        "attempts": 0,
    }


@pytest.fixture
def slow() -> Iterator[tuple[Web, Event]]:
    """A server that says when it is asked, and answers at the end."""
    came, answer = Event(), Event()

    def site(asked: Asked) -> Answer:
        came.set()
        answer.wait(60)
        return Answer()

    with serving(site) as web:
        yield web, came
        answer.set()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_with_1_if_it_is_canceled(
    programs: Programs, cloudflow: CommandLine, slow: tuple[Web, Event], sign: signal.Signals
) -> None:
    web, came = slow
    programs.write(chain(MANUAL, get("ask", web.url()), value("after")), "long")
    process = cloudflow.start("run", "long", "--format", "json")
    assert came.wait(60)
    process.send_signal(sign)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    printed = json.loads(out)
    assert printed["status"] == "canceled"
    assert printed["nodes"]["ask"]["status"] == "canceled"
    assert printed["nodes"]["after"]["status"] == "not_run"


def test_run_ends_with_2_if_it_could_not_start(programs: Programs, cloudflow: CommandLine) -> None:
    """And prints nothing on standard output, but why on standard error."""
    torn(programs, WRONG)
    programs.write(chain(MANUAL, params=params(n={"type": "integer"})), "needs")
    cases: dict[tuple[str, ...], str] = {
        ("wrong",): "CF3002",
        ("neds",): "needs",
        ("needs", "--param", "n=many"): "integer",
        ("needs", "--param", "m=1"): "`m`",
        ("needs", "--param", "n"): "NAME=VALUE",
        ("needs", "--params-file", "none.json"): "none.json",
    }
    running = {args: cloudflow.start("run", *args, "--format", "json") for args in cases}
    for args, process in running.items():
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (2, ""), (args, err)
        assert cases[args] in err, args


def test_run_ends_with_2_if_the_project_is_broken(cloudflow: CommandLine, tmp_path: Path) -> None:
    """For `check` that is an error that it found."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "fine.json").write_text(json.dumps(chain(MANUAL)))
    (tmp_path / "cloudflow.yaml").write_text("colour: red\n")
    run = cloudflow("run", "fine", "--format", "json", cwd=tmp_path)

    assert (run.status, run.out) == (2, "")
    assert "CF6103" in run.err
    assert cloudflow("check", cwd=tmp_path).status == 1


def test_whatever_lies_in_the_folder_a_flow_is_found_and_runs(
    programs: Programs, cloudflow: CommandLine
) -> None:
    """By its id as by its name, which a link may have given it."""
    folder = programs.project.flows
    programs.write({**chain(MANUAL, result("{{ run.flow }}")), "id": "by_id"}, "fine")
    (folder / "linked.json").symlink_to("../target.json")
    (programs.project.root / "target.json").write_text(
        json.dumps(chain(MANUAL, result("{{ run.flow }}")))
    )
    (folder / "circle.json").symlink_to("circle.json")
    os.mkfifo(folder / "pipe.json")

    assert cloudflow("run", "by_id", "--format", "json").json["result"] == "by_id"
    assert cloudflow("run", "linked", "--format", "json").json["result"] == "linked"
    said = cloudflow("check", "--format", "json")
    assert said.status == 1
    assert {d["file"] for d in said.json} == {"flows/circle.json", "flows/pipe.json"}
    assert cloudflow("run", "pipe").status == 2
    assert "not a plain file" in cloudflow("check", "flows/pipe.json").err


def test_people_are_shown_the_first_findings_and_how_many_more_there_are(
    programs: Programs, cloudflow: CommandLine
) -> None:
    nodes = [{"id": f"n{number}", "type": "logic.fi"} for number in range(300)]
    torn(programs, json.dumps({"version": 1, "nodes": nodes}), "many")

    said = cloudflow("check", "flows/many.json")
    assert said.err.count("error CF1011") == 200
    assert "… and 100 more" in said.err
    assert "300 errors" in said.out
    assert len(cloudflow("check", "flows/many.json", "--format", "json").json) == 300


def test_flow_is_an_id_or_any_path_and_the_project_that_of_the_current_directory(
    programs: Programs, cloudflow: CommandLine, tmp_path: Path
) -> None:
    seen = chain(MANUAL, result("{{ run.flow & ' ' & vars.team }}"))
    programs.write({**seen, "id": "by_id"}, "by_stem")
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(seen))
    below = programs.project.root / "below"
    below.mkdir(exist_ok=True)

    def ran(*args: str | Path, cwd: Path | None = None) -> Any:
        said = cloudflow("run", *args, "--format", "json", cwd=cwd)
        return said.json["result"] if said.status == 0 else said.err

    assert ran("by_id") == "by_id ops"
    assert ran("flows/by_stem.json") == "by_id ops"
    assert ran(outside) == "outside ops"
    assert ran("../flows/by_stem.json", cwd=below) == "by_id ops"


TYPED = params(
    text={"type": "string"},
    number={"type": "number"},
    whole={"type": "integer"},
    truth={"type": "boolean"},
    list={"type": "array"},
    object={"type": "object"},
    either={"type": ["integer", "null"]},
    maybe={"type": ["string", "null"]},
    chosen={"enum": [1, "1x", None]},
    any={},
    described={"anyOf": [{"type": "string", "maxLength": 2}, {"type": "array"}]},
)


def test_param_values_are_read_by_the_params_schema_type(
    programs: Programs, cloudflow: CommandLine
) -> None:
    programs.write(chain(MANUAL, result("{{ params }}"), params=TYPED), "typed")
    given = {
        "text": "007",
        "number": "1.50",
        "whole": "9007199254740993",
        "truth": "true",
        "list": '[1, "a"]',
        "object": '{"a": {"b": null}}',
        "either": "null",
        "maybe": "42",
        "chosen": "1",
        "any": "x=y",
        "described": "[7]",
    }
    pairs = [arg for name, text in given.items() for arg in ("--param", f"{name}={text}")]
    said = cloudflow("run", "typed", *pairs, "--format", "json")

    assert said.status == 0, said.err
    assert said.json["result"] == {
        "text": "007",
        "number": 1.5,
        "whole": 9007199254740993,
        "truth": True,
        "list": [1, "a"],
        "object": {"a": {"b": None}},
        "either": None,
        "maybe": "42",
        "chosen": 1,
        "any": "x=y",
        "described": [7],
    }


def test_a_params_file_holds_params_and_param_wins_over_it(
    programs: Programs, cloudflow: CommandLine, tmp_path: Path
) -> None:
    made = chain(
        MANUAL, result("{{ params }}"), params=params(a={"type": "string"}, b={"type": "array"})
    )
    programs.write(made, "filed")
    file = tmp_path / "params.json"
    file.write_text('{"a": "file", "b": [9007199254740993]}')
    said = cloudflow(
        "run", "filed", "--params-file", file, "--param", "a=given", "--format", "json"
    )

    assert said.json["result"] == {"a": "given", "b": [9007199254740993]}


def test_param_reaches_params_that_the_schema_lets_in_without_naming_them(
    programs: Programs, cloudflow: CommandLine
) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    programs.write(chain(MANUAL, result("{{ params }}"), params=schema), "open")
    said = cloudflow("run", "open", "--param", "n=3", "--format", "json")

    assert (said.status, said.out and said.json["result"]) == (0, {"n": 3}), said.err


def test_run_takes_pins_only_if_it_is_told_to(programs: Programs, cloudflow: CommandLine) -> None:
    programs.write(chain(MANUAL, value("one", "run", pin="pinned"), result()), "pins")

    assert cloudflow("run", "pins", "--format", "json").json["result"] == "run"
    assert cloudflow("run", "pins", "--pinned", "--format", "json").json["result"] == "pinned"


# Canonical form

MESSY: dict[str, Any] = {
    "edges": [
        {"target": "z", "source": "start"},
        {"target": "b", "target_port": "value", "source_port": "out", "source": "z"},
        {"target": "a", "source": "z"},
    ],
    "params": {"properties": {"y": {"type": "string"}, "x": {}}, "type": "object"},
    "nodes": [
        {
            "config": {"z": 1, "value": {"b": 1, "a": "{{ 1 }}"}},
            "type": "generic.transform",
            "id": "b",
        },
        {
            "timeout": 5,
            "id": "a",
            "label": "A ü",
            "type": "generic.transform",
            "config": {"value": 2},
        },
        {"type": "generic.transform", "id": "z", "config": {"value": 1.50}},
        {"type": "trigger.manual", "id": "start"},
    ],
    "name": "Messy",
    "version": 1,
    "on_failure": "other",
    "tags": ["t"],
}
CANONICAL = """\
{
  "version": 1,
  "name": "Messy",
  "tags": [
    "t"
  ],
  "params": {
    "properties": {
      "y": {
        "type": "string"
      },
      "x": {}
    },
    "type": "object"
  },
  "nodes": [
    {
      "id": "start",
      "type": "trigger.manual"
    },
    {
      "id": "z",
      "type": "generic.transform",
      "config": {
        "value": 1.5
      }
    },
    {
      "id": "a",
      "type": "generic.transform",
      "label": "A ü",
      "config": {
        "value": 2
      },
      "timeout": 5
    },
    {
      "id": "b",
      "type": "generic.transform",
      "config": {
        "z": 1,
        "value": {
          "b": 1,
          "a": "{{ 1 }}"
        }
      }
    }
  ],
  "edges": [
    {
      "source": "start",
      "target": "z"
    },
    {
      "source": "z",
      "target": "a"
    },
    {
      "source": "z",
      "source_port": "out",
      "target": "b",
      "target_port": "value"
    }
  ],
  "on_failure": "other"
}
"""


def test_fmt_writes_a_flow_in_one_canonical_form(
    programs: Programs, cloudflow: CommandLine
) -> None:
    """Key order as in the tables, nodes topologically then by name, two spaces, one newline."""
    path = torn(programs, json.dumps(MESSY), "messy")
    said = cloudflow("fmt", "messy")
    assert said.status == 0
    assert path.read_text() == CANONICAL

    other_way = dict(reversed(MESSY.items())) | {"nodes": MESSY["nodes"][::-1]}
    torn(programs, "\n\n" + json.dumps(other_way, indent=7) + "\n\n", "messy")
    assert cloudflow("fmt", "--check").status == 1
    assert path.read_text() != CANONICAL
    assert cloudflow("fmt").status == 0
    assert path.read_text() == CANONICAL
    assert cloudflow("fmt", "--check").status == 0


def test_fmt_leaves_a_file_that_is_not_valid_as_it_is(
    programs: Programs, cloudflow: CommandLine
) -> None:
    path = torn(programs, '{"version": 1, "nodes": [], "colour": "red"}')
    said = cloudflow("fmt")

    assert said.status == 1
    assert "CF1002" in said.err
    assert path.read_text() == '{"version": 1, "nodes": [], "colour": "red"}'


def test_positions_beside_the_flow_are_not_supported_yet(
    programs: Programs, cloudflow: CommandLine
) -> None:
    """A warning: the flow runs all the same."""
    programs.write(chain(MANUAL, result(1)), "arranged")
    layout = programs.project.flows / ".layout"
    layout.mkdir()
    (layout / "arranged.json").write_text('{"start": {"x": 1, "y": 2}}')
    try:
        said = cloudflow("check", "--format", "json")
    finally:
        (layout / "arranged.json").unlink()
        layout.rmdir()

    assert said.status == 0
    assert [(d["code"], d["severity"]) for d in said.json] == [("CF9007", "warning")]
    assert "not" in said.json[0]["message"]
