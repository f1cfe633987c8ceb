"""What flows need of whose credential."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.insight.needs import Needs, needs_of
from cloudflow_dagster.insight.permissions import Policy, policies_of
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.providers import catalogue

PROJECT = """\
credentials:
  prod: {provider: aws, profile: prod, region: eu-west-1}
  audit:
    provider: aws
    source: prod
    role_arn: arn:aws:iam::222222222222:role/audit
default_credentials: {aws: prod}
secrets:
  token: {ssm_parameter: /prod/token}
  password: {aws_secret: prod/db, credential: audit}
variables:
  bucket: reports
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "cloudflow.yaml").write_text(PROJECT)
    (tmp_path / "flows").mkdir()
    return find_project(tmp_path)


def node(id: str, type: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, **more}


def write(project: Project, name: str, nodes: list[Any], edges: list[str], **more: Any) -> Path:
    ends = [edge.split(" ") for edge in edges]
    flow = {
        "version": 1,
        "nodes": [node("go", "trigger.manual"), *nodes],
        "edges": [
            {
                "source": source.partition(".")[0],
                **({"source_port": source.partition(".")[2]} if "." in source else {}),
                "target": target.partition(".")[0],
                **({"target_port": target.partition(".")[2]} if "." in target else {}),
            }
            for source, target in ends
        ],
        **more,
    }
    file = project.flows / f"{name}.json"
    file.write_text(json.dumps(flow))
    return file


def asked(project: Project, file: Path) -> Needs:
    def called(id: str) -> Any:
        other = project.flows / f"{id}.json"
        return compile_flow(other, project=project) if other.exists() else None

    return needs_of(compile_flow(file, project=project), project, catalogue(), called)


def policy(policies: list[Policy], credential: str) -> dict[str, Any]:
    (found,) = (p for p in policies if p.credential == credential)
    return {e.permission.action: (list(e.nodes), list(e.resources)) for e in found.entries}


def test_nodes_in_loops_and_those_that_undo_count_and_disabled_ones_do_not(
    project: Project,
) -> None:
    body = node(
        "copy",
        "aws.ec2.create_snapshot",
        config={"VolumeId": "{{ item }}"},
        compensate={},
    )
    file = write(
        project,
        "f",
        [
            node("each", "logic.loop", config={"items": [1]}),
            body,
            node("off", "aws.sqs.list_queues", disabled=True),
        ],
        ["go each", "each.item copy", "go off"],
        on_failure_compensate=True,
    )
    found = policy(policies_of(asked(project, file), project), "prod")
    assert found["ec2:CreateSnapshot"][0] == ["f/copy"]
    assert found["ec2:DeleteSnapshot"] == (["f/undo:copy"], ["arn:aws:ec2:eu-west-1::snapshot/*"])
    assert set(found) == {"ec2:CreateSnapshot", "ec2:DeleteSnapshot"}


def test_called_flows_and_the_one_for_failures_count_once(project: Project) -> None:
    write(project, "a", [node("list", "aws.sqs.list_queues")], ["go list"])
    write(project, "alarm", [node("post", "aws.sns.list_topics")], ["go post"])
    file = write(
        project,
        "f",
        [
            node("one", "flow.call", config={"flow": "a"}),
            node("two", "flow.call", config={"flow": "a"}),
        ],
        ["go one", "go two"],
        on_failure="alarm",
    )
    found = policy(policies_of(asked(project, file), project), "prod")
    assert found == {
        "sns:ListTopics": (["alarm/post"], ["*"]),
        "sqs:ListQueues": (["a/list"], ["*"]),
    }


def test_a_role_that_is_assumed_is_asked_of_the_credential_that_assumes_it(
    project: Project,
) -> None:
    nodes = [node("look", "aws.ec2.describe_volumes", credential="audit", region="us-east-1")]
    policies = policies_of(asked(project, write(project, "f", nodes, ["go look"])), project)
    assert [p.credential for p in policies] == ["audit", "prod"]
    assert policies[0].account == "222222222222"
    role = "arn:aws:iam::222222222222:role/audit"
    assert policy(policies, "prod") == {"sts:AssumeRole": (["credential audit"], [role])}


def test_secrets_that_nodes_read_count(project: Project) -> None:
    get = node(
        "get",
        "generic.http.request",
        config={
            "url": "https://example.com",
            "headers": {"a": "{{ $secret('token') }}", "b": "{{ $secret('password') }}"},
        },
    )
    policies = policies_of(asked(project, write(project, "f", [get], ["go get"])), project)
    token = "arn:aws:ssm:eu-west-1:*:parameter/prod/token"
    assert policy(policies, "prod")["ssm:GetParameter"] == (["f/get (secret token)"], [token])
    assert "kms:Decrypt" in policy(policies, "prod")
    password = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:prod/db-??????"
    assert policy(policies, "audit")["secretsmanager:GetSecretValue"][1] == [password]


def test_variables_are_literal_and_what_an_edge_feeds_is_not(project: Project) -> None:
    nodes = [
        node("put", "aws.s3.put_object", config={"Bucket": "{{ vars.bucket }}", "Key": "a"}),
        node("key", "generic.transform", config={"value": "x"}),
        node("get", "aws.s3.get_object", config={"Bucket": "b"}),
    ]
    file = write(project, "f", nodes, ["go put", "go key", "key get.Key"])
    found = policy(policies_of(asked(project, file), project), "prod")
    assert found["s3:PutObject"][1] == ["arn:aws:s3:::reports/a"]
    assert found["s3:GetObject"][1] == ["arn:aws:s3:::b/*"]


def test_what_is_known_only_when_it_runs_is_said(project: Project) -> None:
    nodes = [
        node("call", "flow.call", config={"flow": "{{ params.which }}"}),
        node("look", "aws.ec2.describe_volumes", region="{{ vars.bucket }}"),
    ]
    params = {"type": "object", "properties": {"which": {"type": "string", "default": "a"}}}
    file = write(project, "f", nodes, ["go call", "go look"], params=params)
    needs = asked(project, file)
    assert [need.region for need in needs.found] == ["reports"]
    assert needs.unknown == ["`f/call` calls a flow that is known only when it runs."]


def test_friendly_fields_name_resources_and_others_do_not(project: Project) -> None:
    put = {"bucket": "{{ vars.bucket }}", "key": "a.csv", "body": "x", "storage_class": "GLACIER"}
    file = write(
        project,
        "f",
        [
            node("put", "aws.s3.object.put", config=put),
            node("start", "aws.ec2.instance.start", config={"instances": [{"id": "i-1"}]}),
            node(
                "queue",
                "aws.sqs.queue",
                config={"name": "jobs", "dead_letters": "arn:aws:sqs:eu-west-1:1:dead"},
            ),
            node("call", "aws.lambda.function.invoke", config={"function": "{{ nodes.put.key }}"}),
        ],
        ["go put", "put start", "start queue", "queue call"],
    )
    found = policy(policies_of(asked(project, file), project), "prod")
    assert found["s3:PutObject"][1] == ["arn:aws:s3:::reports/a.csv"]
    assert "arn:aws:ec2:eu-west-1:*:instance/i-1" in found["ec2:StartInstances"][1]
    assert found["sqs:CreateQueue"][1] == ["arn:aws:sqs:eu-west-1:*:jobs"]
    assert found["lambda:InvokeFunction"][1] == ["arn:aws:lambda:eu-west-1:*:function:*"]


@pytest.mark.parametrize(
    "spec",
    [
        "{provider: aws, profile: p, region: cn-north-1}",
        "{provider: aws, profile: p, role_arn: 'arn:aws-cn:iam::111111111111:role/r'}",
        "{provider: aws, source: base, role_arn: {env: ROLE}}",
    ],
)
def test_arns_are_of_the_partition_of_the_credential(spec: str, tmp_path: Path) -> None:
    (tmp_path / "cloudflow.yaml").write_text(
        f"credentials:\n  prod: {spec}\n"
        "  base: {provider: aws, profile: b, region: cn-north-1}\n"
        "default_credentials: {aws: prod}\n"
    )
    (tmp_path / "flows").mkdir()
    there = find_project(tmp_path)
    list_one = {"bucket": "b"}
    tell = {"topic": "{{ params.t }}", "message": "x"}
    file = write(
        there,
        "f",
        [
            node("list", "aws.s3.object.list", config=list_one),
            node("tell", "aws.sns.message.publish", config=tell, region="{{ params.r }}"),
        ],
        ["go list", "list tell"],
        params={"type": "object", "properties": {key: {"type": "string"} for key in "tr"}},
    )
    found = policy(policies_of(asked(there, file), there), "prod")
    assert found["s3:ListBucket"][1] == ["arn:aws-cn:s3:::b"]
    assert found["sns:Publish"][1] == ["arn:aws-cn:sns:*:*:*"]
