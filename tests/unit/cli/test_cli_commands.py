"""The commands that need neither Dagster nor a cloud."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import cloudflow_dagster
from cloudflow_dagster.cli import main
from cloudflow_dagster.cli.nodes_fields import sample_of
from cloudflow_dagster.cli.progress import Progress
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.expressions import render
from cloudflow_dagster.nodes.declared import DeclaredNodes
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.providers import catalogue

STARTER = Path(cloudflow_dagster.__file__).parents[1]

FLOW: dict[str, Any] = {
    "version": 1,
    "nodes": [
        {"id": "by_hand", "type": "trigger.manual"},
        {"id": "one", "type": "generic.transform", "config": {"value": "{{ 1 }}"}},
    ],
    "edges": [{"source": "by_hand", "target": "one"}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/good.json").write_text(json.dumps(FLOW))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def broken(project: Path) -> Path:
    nodes = [FLOW["nodes"][0], {"id": "one", "type": "generic.transfrom"}]
    path = project / "flows/broken.json"
    path.write_text(json.dumps({**FLOW, "nodes": nodes}))
    return path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args, catch_exceptions=False)


def test_check_ends_with_0_and_counts(project: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "Checked 1 flow: 0 errors, 0 warnings.\n")


def test_check_ends_with_1_and_shows_the_line(project: Path) -> None:
    broken(project)
    result = run("check")
    assert result.exit_code == 1
    assert "generic.transfrom" in result.stderr
    assert "Did you mean `generic.transform`?" in result.stderr
    assert result.stdout == "Checked 2 flows: 1 error, 0 warnings.\n"


def test_check_of_one_flow_leaves_the_others_out(project: Path) -> None:
    broken(project)
    assert run("check", "good").exit_code == 0
    assert run("check", "flows/good.json").exit_code == 0
    assert run("check", "broken").exit_code == 1


def test_check_ends_with_2_for_a_flow_that_is_not_there(project: Path) -> None:
    result = run("check", "goood")
    assert result.exit_code == 2
    assert "Did you mean `good`?" in result.stderr


def test_check_prints_json_with_the_names_of_the_format(project: Path) -> None:
    broken(project)
    (finding,) = json.loads(run("check", "--format", "json").stdout)
    assert finding["file"] == "flows/broken.json"
    assert finding["pointer"] == "/nodes/1/type"
    assert finding["node"] == "one"
    assert finding["suggestion"] == "Did you mean `generic.transform`?"


def test_check_prints_sarif(project: Path) -> None:
    broken(project)
    log = json.loads(run("check", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    (found,) = log["runs"][0]["results"]
    assert found["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_strict_lets_warnings_fail(project: Path) -> None:
    (project / "flows/empty.json").write_text('{"version": 1, "nodes": []}')
    assert run("check", "empty").exit_code == 0
    assert run("check", "--strict", "empty").exit_code == 1


def test_strict_warns_about_destructive_nodes_and_a_plain_check_does_not(project: Path) -> None:
    nodes = [{"id": "end", "type": "aws.ec2.terminate_instances", "config": {"InstanceIds": ["i"]}}]
    (project / "flows/end.json").write_text(json.dumps({"version": 1, "nodes": nodes}))
    assert run("check").stdout == "Checked 2 flows: 0 errors, 0 warnings.\n"
    assert run("check", "end").exit_code == 0
    for strict in (run("check", "--strict"), run("check", "--strict", "end")):
        assert strict.exit_code == 1
        assert "CF3008" in strict.stderr
        assert "`end` (aws.ec2.terminate_instances) is destructive" in strict.stderr


def test_a_broken_project_file_is_shown_without_its_secret(project: Path) -> None:
    (project / "cloudflow.yaml").write_text(
        "credentials:\n  prod:\n    provider: aws\n    secret_access_key: hunter2hunter2\n"
    )
    result = run("check")
    assert result.exit_code == 1
    assert "cloudflow.yaml" in result.stderr
    assert "hunter2" not in result.output


def test_fmt_writes_the_canonical_form_once(project: Path) -> None:
    first = run("fmt")
    assert (first.exit_code, first.stdout.splitlines()[0]) == (0, "Changed flows/good.json")
    text = (project / "flows/good.json").read_text()
    assert text.startswith('{\n  "version": 1,\n')
    assert text.endswith("}\n")
    assert run("fmt").stdout == "1 file, 0 changed.\n"


def test_fmt_check_changes_nothing(project: Path) -> None:
    before = (project / "flows/good.json").read_bytes()
    assert run("fmt", "--check").exit_code == 1
    assert (project / "flows/good.json").read_bytes() == before


def test_fmt_leaves_a_broken_file_alone(project: Path) -> None:
    path = project / "flows/bad.json"
    path.write_text('{"version": 1, "nodes": [}')
    assert run("fmt", "bad").exit_code == 1
    assert path.read_text() == '{"version": 1, "nodes": [}'


def test_schema_is_json_schema() -> None:
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "nodes" in schema["properties"]


def test_init_makes_a_project_that_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("init", str(tmp_path / "mine")).exit_code == 0
    monkeypatch.chdir(tmp_path / "mine")
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Checked 6 flows: 0 errors")


def test_init_touches_nothing_that_is_there(project: Path) -> None:
    result = run("init")
    assert result.exit_code == 2
    assert "already has flows" in result.stderr
    assert not (project / "cloudflow.yaml").exists()


def test_nodes_show_explains_fields_ports_and_permissions() -> None:
    text = run("nodes", "show", "aws.ec2.create_snapshot").stdout
    assert re.search(r"^  VolumeId  +string, required\.", text, re.MULTILINE)
    assert "(action, compute, changes)" in text
    assert "  ec2:CreateSnapshot\n" in text
    assert "  ec2:CreateTags (dependent, with `TagSpecifications`, `Tags`)\n" in text
    whole = json.loads(run("nodes", "show", "aws.ecs.run_task", "--format", "json").stdout)
    assert {
        "action": "iam:PassRole",
        "dependent": True,
        "known": True,
        "note": "",
    } in whole["iamRequired"]
    whole = json.loads(run("nodes", "show", "logic.loop", "--format", "json").stdout)
    assert whole["iamRequired"] == []
    assert [p["name"] for p in whole["outputs"]] == ["item", "done", "error"]


def test_nodes_show_explains_what_stands_in_lists_that_may_be_left_out_and_in_outputs() -> None:
    bucket = run("nodes", "show", "aws.s3.bucket").stdout
    assert "lifecycle[].delete_after_days" in bucket
    assert "told apart by" not in bucket
    assert "results[].exit_code" in run("nodes", "show", "aws.ec2.instance.run_command").stdout
    assert "out.status  " in run("nodes", "show", "generic.http.request").stdout


def test_nodes_show_tells_for_how_long_a_token_is_relied_on() -> None:
    text = run("nodes", "show", "aws.ec2.create_volume").stdout
    assert "After 24 hours the token may be forgotten: it asks then." in text
    whole = json.loads(run("nodes", "show", "aws.ec2.create_volume", "--format", "json").stdout)
    assert (whole["repeat"], whole["token_seconds"]) == ("token", 86400)


def test_nodes_show_suggests() -> None:
    result = run("nodes", "show", "aws.ec2.create_snapshto")
    assert result.exit_code == 2
    assert "Did you mean `aws.ec2.create_snapshot`?" in result.stderr


def test_nodes_search_finds_and_limits() -> None:
    rows = json.loads(
        run("nodes", "search", "create", "snapshot", "--format", "json", "--limit", "3").stdout
    )
    assert len(rows) == 3
    assert rows[0]["id"] == "aws.ec2.create_snapshot"
    assert {"id", "label", "provider", "category", "kind", "access"} <= rows[0].keys()


def test_the_example_of_a_node_type_is_a_node_of_an_example_flow() -> None:
    node = json.loads(run("nodes", "show", "logic.wait").stdout.split("Example\n")[1])
    assert (node["type"], list(node["config"])) == ("logic.wait", ["approval"])


def test_a_sample_has_one_of_the_fields_of_which_one_is_wanted() -> None:
    wait = catalogue().get("logic.wait")
    assert wait is not None
    assert sample_of(wait) == {"id": "wait", "type": "logic.wait", "config": {"seconds": 1}}


def test_nodes_search_says_whether_there_are_more() -> None:
    assert "raise --limit" in run("nodes", "search", "create", "snapshot", "--limit", "3").stderr
    assert run("nodes", "search", "logic.wait", "--provider", "logic").stderr == ""


def test_a_provider_of_nothing_is_refused_with_those_that_there_are() -> None:
    for command in (["list"], ["search", "bucket"]):
        result = run("nodes", *command, "--provider", "nope")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no node type is of a provider `nope`. There are aws, flow," in result.stderr


def test_who_waits_for_the_index_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLOW_CACHE", str(tmp_path))
    small = Registry(DeclaredNodes("cloudflow_dagster.providers", ("logic",)))
    monkeypatch.setattr("cloudflow_dagster.cli.nodes.catalogue", lambda: small)
    assert run("nodes", "search", "sleep").stderr.startswith("cloudflow: making the index")
    again = run("nodes", "search", "sleep")
    assert (again.stderr, again.stdout.split()[0]) == ("", "logic.wait")


def test_nodes_list_of_one_provider() -> None:
    rows = run("nodes", "list", "--provider", "logic").stdout.splitlines()
    assert [row.split()[0] for row in rows] == sorted(
        ["logic.if", "logic.loop", "logic.switch", "logic.wait"]
    )


def test_credentials_list_shows_how_and_no_value(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "canary-value")
    (project / "cloudflow.yaml").write_text(
        "credentials:\n  ci:\n    provider: aws\n    access_key_id: {env: THE_KEY}\n"
        "    secret_access_key: {env: THE_KEY}\n    region: eu-west-1\n"
    )
    result = run("credentials", "list")
    assert result.exit_code == 0
    assert "THE_KEY" in result.stdout
    assert "canary-value" not in result.output


def test_credentials_test_suggests_a_name(project: Path) -> None:
    result = run("credentials", "test", "simm")
    assert result.exit_code == 2
    assert "Did you mean `sim`?" in result.stderr


def test_run_does_not_start_a_flow_that_is_wrong(project: Path) -> None:
    broken(project)
    result = run("run", "broken")
    assert result.exit_code == 2
    assert "generic.transfrom" in result.stderr


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--param", "x"), "write NAME=VALUE"),
        (("--only", "on"), "Did you mean `one`?"),
        (("--from", "abc"), "--from goes with --only"),
    ],
)
def test_run_refuses_arguments_that_make_no_sense(
    project: Path, args: tuple[str, ...], told: str
) -> None:
    result = run("run", "good", *args)
    assert result.exit_code == 2
    assert told in result.stderr


def test_the_checks_start_without_dagster_and_the_clouds() -> None:
    code = (
        "import sys, cloudflow_dagster.cli.check, cloudflow_dagster.cli.fmt\n"
        "heavy = {'dagster', 'boto3', 'botocore', 'moto', 'httpx'} & sys.modules.keys()\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_check_in_a_folder_without_flows_could_not_do_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("check")
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr


def test_a_flow_named_by_its_id_is_found_although_it_is_not_json(project: Path) -> None:
    (project / "flows/odd-name.json").write_text('{"version": 1, "id": "daily", "nodes": [}')
    result = run("check", "daily")
    assert result.exit_code == 1
    assert "flows/odd-name.json" in result.stderr


def test_params_of_a_file_are_checked_like_those_of_the_command(project: Path) -> None:
    (project / "params.json").write_text('{"enviroment": "dev"}')
    flow = {**FLOW, "params": {"type": "object", "properties": {"environment": {}}}}
    (project / "flows/good.json").write_text(json.dumps(flow))
    result = run("run", "good", "--params-file", "params.json")
    assert result.exit_code == 2
    assert "Did you mean `environment`?" in result.stderr


def test_init_copies_the_examples_and_no_flow_of_somebody_else(tmp_path: Path) -> None:
    run("init", str(tmp_path / "mine"))
    flows = sorted(p.stem for p in (tmp_path / "mine/flows").iterdir())
    assert flows == [
        "nightly_backup",
        "public_address",
        "s3_inventory",
        "stop_untagged_instances",
        "volumes_everywhere",
        "weekly_review",
    ]


@pytest.fixture
def simulated(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that uses the simulated cloud, and none that runs."""
    monkeypatch.delenv("CLOUDFLOW_SIMULATED_AWS", raising=False)
    (project / "cloudflow.yaml").write_text(
        "credentials:\n  sim: {provider: aws, simulated: true, region: us-east-1}\n"
        "default_credentials: {aws: sim}\n"
    )
    node = {"id": "one", "type": "aws.ec2.describe_volumes"}
    (project / "flows/good.json").write_text(
        json.dumps({**FLOW, "nodes": [FLOW["nodes"][0], node]})
    )
    return project


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    "command", [("credentials", "test", "sim"), ("run", "good"), ("dev", "--port", "0")]
)
def test_without_the_simulator_s_packages_one_sentence_names_the_extra(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    result = run(*command)
    assert result.exit_code == 2
    assert "pip install 'cloudflow-dagster[simulator]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("simulated")
def test_a_cloud_that_is_started_is_announced_beside_the_output() -> None:
    code = "from cloudflow_dagster.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "credentials", "test", "sim", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "Starting a simulated cloud …\n")
    assert json.loads(done.stdout)["identity"]["account"] == "123456789012"


def test_a_file_that_is_no_flow_is_not_read_as_one(project: Path) -> None:
    (project / "README.md").write_text("# Mine\n")
    result = run("run", "README.md")
    assert result.exit_code == 2
    assert "`README.md` is not a flow: a flow is a JSON file" in result.stderr


@pytest.mark.usefixtures("project")
def test_a_path_that_does_not_exist_is_called_a_file() -> None:
    result = run("run", "flows/goood.json")
    assert result.exit_code == 2
    assert "there is no file `flows/goood.json`. Did you mean `good`?" in result.stderr


def test_a_credential_that_is_not_there_is_answered_with_those_that_are(simulated: Path) -> None:
    node = {"id": "one", "type": "aws.ec2.describe_volumes", "credential": "prod"}
    flow = {**FLOW, "nodes": [FLOW["nodes"][0], node]}
    (simulated / "flows/good.json").write_text(json.dumps(flow))
    result = run("check")
    assert "The project has no credential `prod`." in result.stderr
    assert "There is `sim`." in result.stderr


def test_a_loop_is_described_for_those_who_use_it() -> None:
    shown = run("nodes", "show", "logic.loop").stdout
    assert "then goes on at `done`" in shown
    assert "The function" not in shown


def test_of_a_loop_s_body_no_node_is_listed(project: Path, capsys: Any) -> None:
    nodes = [
        {"id": "by_hand", "type": "trigger.manual"},
        {"id": "each", "type": "logic.loop", "config": {"items": "{{ [1] }}"}},
        {"id": "inside", "type": "generic.transform", "config": {"value": 1}},
    ]
    edges = [
        {"source": "by_hand", "target": "each"},
        {"source": "each", "source_port": "item", "target": "inside"},
    ]
    file = project / "flows/loop.json"
    file.write_text(json.dumps({"version": 1, "nodes": nodes, "edges": edges}))
    progress = Progress(compile_flow(file), quiet=False)
    states = {id: {"status": "skipped"} for id in ("each", "inside")}
    progress.end({"nodes": states, "result": None, "status": "success", "run_id": "r"})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["-", "each", "skipped"], ["Run", "r:", "success"]]


def test_a_new_project_s_settings_name_no_file_that_is_not_there(tmp_path: Path) -> None:
    run("init", str(tmp_path / "mine"))
    assert "docs/" not in (tmp_path / "mine/cloudflow.yaml").read_text()


def test_sums_of_nothing_are_zero_in_the_template(project: Path) -> None:
    template = json.loads((STARTER / "templates/first_flow.json").read_text())
    (value,) = (n["config"]["value"] for n in template["nodes"] if n["type"] == "flow.result")
    given = render(value, {"nodes": {"volumes": {"Volumes": []}}, "params": {}})
    assert given == {"volumes": 0, "gigabytes": 0}


def test_nodes_show_says_what_is_destructive() -> None:
    text = run("nodes", "show", "aws.ec2.terminate_instances").stdout
    assert "(action, compute, destroys)" in text
    assert "Destructive: “Terminate instances” takes away what it cannot bring back." in text
    row = run("nodes", "list", "--provider", "logic", "--limit", "1").stdout
    assert row.split()[:2] == ["logic.if", "read"]


@pytest.fixture
def asking(project: Path) -> Path:
    topic = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": "x"}
    role = {"taskDefinition": "web", "cluster": "c"}
    nodes = [
        FLOW["nodes"][0],
        {"id": "tell", "type": "aws.sns.publish", "config": topic},
        {"id": "task", "type": "aws.ecs.run_task", "config": role},
    ]
    edges = [{"source": "by_hand", "target": node["id"]} for node in nodes[1:]]
    path = project / "flows/asking.json"
    path.write_text(json.dumps({"version": 1, "nodes": nodes, "edges": edges}))
    return path


def test_permissions_are_shown_with_the_nodes_that_need_them(asking: Path) -> None:
    result = run("permissions", str(asking))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "sim (account 123456789012)"
    assert "  sns:Publish   asking/tell" in lines
    assert "      on arn:aws:sns:us-east-1:123456789012:t" in lines
    assert "  iam:PassRole  asking/task  (dependent)" in lines


def test_permissions_are_a_policy_for_each_credential(asking: Path) -> None:
    policy = json.loads(run("permissions", "asking", "--format", "json").stdout)["sim"]
    assert policy["Version"] == "2012-10-17"
    actions = {action for each in policy["Statement"] for action in each["Action"]}
    assert actions == {"sns:Publish", "ecs:RunTask", "iam:PassRole"}
    written = run("permissions", "asking", "--format", "terraform").stdout
    assert written.startswith('data "aws_iam_policy_document" "sim" {')
    assert run("permissions", "good").stdout == "No permissions needed.\n"


def test_permissions_say_what_is_unknown(asking: Path) -> None:
    flow = json.loads(asking.read_text())
    flow["nodes"][1] = {"id": "tell", "type": "aws.lambda_core.list_runtimes"}
    asking.write_text(json.dumps(flow))
    result = run("permissions", "asking", "--format", "json")
    assert "does not have `lambda:ListRuntimes`" in result.stderr
    statements = json.loads(result.stdout)["sim"]["Statement"]
    assert statements[-1]["Sid"] == "Unknown1"


def test_permissions_of_a_broken_flow_are_not_printed(project: Path) -> None:
    broken(project)
    result = run("permissions", "broken")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "generic.transfrom" in result.stderr


def test_permissions_of_the_simulated_cloud_cannot_be_compared(asking: Path) -> None:
    result = run("permissions", "asking", "--check")
    assert result.exit_code == 2
    assert "sim: not compared. It is the simulated cloud" in result.stdout
    assert run("permissions", "asking", "--check", "--format", "terraform").exit_code == 2


WITHOUT_THE_LIST = """
import importlib.metadata, importlib.util, sys
find, version = importlib.util.find_spec, importlib.metadata.version
def no_version(name):
    if name == "policy_sentry":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.util.find_spec = lambda name, *at: None if name == "policy_sentry" else find(name, *at)
importlib.metadata.version = no_version
from cloudflow_dagster.providers.aws import AwsNodes
assert " absent " in AwsNodes().edition()
from cloudflow_dagster.cli import main
main()
"""


def test_without_the_list_of_actions_flows_are_checked_and_no_policy_is_made_up(
    asking: Path,
) -> None:
    def run_without(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_THE_LIST, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    checked = run_without("check", str(asking))
    assert checked.returncode == 0, checked.stderr
    shown = run_without("nodes", "show", "aws.s3.put_object")
    assert "s3:PutObject (unknown: named as the operation)" in shown.stdout
    printed = run_without("permissions", str(asking))
    assert (printed.returncode, printed.stdout) == (2, "")
    assert printed.stderr == (
        "cloudflow: IAM's list of actions is not there: the package policy_sentry, which CloudFlow "
        "needs, is not installed or not whole. Install it again: pip install --force-reinstall "
        "policy_sentry.\n"
    )
