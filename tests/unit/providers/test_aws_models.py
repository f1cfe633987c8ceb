"""What is read from the API models: names, words, schemas, waiters, tokens."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from cloudflow_dagster.nodes.spec import Carries, Kind, NodeType
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.providers.aws.models import load_service, outline_of, services
from cloudflow_dagster.providers.aws.schemas import schema_of
from cloudflow_dagster.providers.aws.text import label, plain
from cloudflow_dagster.providers.aws.tokens import add_token, fit_token
from cloudflow_dagster.providers.aws.waits import Wait, waits_of

TOKEN = "0123456789abcdef" * 4


def node(id: str) -> NodeType:
    found = AwsNodes().get(id)
    assert found is not None
    return found


def config_errors(id: str, config: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(node(id).config_schema)
    return [error.message for error in validator.iter_errors(config)]


def test_a_node_type_says_all_that_the_palette_needs() -> None:
    found = node("aws.ec2.create_snapshot")
    assert (found.id, found.kind, found.provider) == (
        "aws.ec2.create_snapshot",
        Kind.ACTION,
        "aws",
    )
    assert (found.label, found.category, found.icon) == ("Create snapshot", "compute", "server")
    assert re.fullmatch(r"#[0-9a-f]{6}", found.color)
    assert found.description.startswith("Creates a snapshot of an EBS volume")
    assert "<" not in found.description
    assert [p.action for p in found.permissions_for({})] == ["ec2:CreateSnapshot"]
    assert found.documentation == (
        "https://docs.aws.amazon.com/goto/WebAPI/ec2-2016-11-15/CreateSnapshot"
    )
    assert {"RequestLimitExceeded", "Throttling"} <= found.transient


def test_each_member_of_the_output_has_a_port() -> None:
    ports = node("aws.ec2.describe_volumes").outputs
    assert [port.name for port in ports] == ["out", "NextToken", "Volumes", "error"]
    assert [port.carries for port in ports] == [
        Carries.OUTPUT,
        Carries.FIELD,
        Carries.FIELD,
        Carries.ERROR,
    ]
    assert ports[2].schema is not None
    assert ports[2].schema["type"] == "array"


def test_a_member_named_error_has_no_port_of_its_own() -> None:
    found = node("aws.stepfunctions.describe_execution")
    assert found.output_schema is not None
    assert "error" in found.output_schema["properties"]
    assert [port.name for port in found.outputs].count("error") == 1
    assert found.outputs[-1].carries is Carries.ERROR


def test_a_hyphen_in_a_services_name_is_an_underscore_and_understood_too() -> None:
    under = node("aws.application_autoscaling.describe_scaling_policies")
    hyphen = node("aws.application-autoscaling.describe_scaling_policies")
    assert under.id == hyphen.id == "aws.application_autoscaling.describe_scaling_policies"
    assert len(set(services())) == len({name.replace("-", "_") for name in services().values()})


@pytest.mark.parametrize(
    "id",
    [
        "aws",
        "aws.ec2",
        "aws..x",
        "aws.ec2.",
        "aws.ec2.CreateSnapshot",
        "aws.ec2.create_snapshot.x",
        "aws.../../etc.x",
        "gcp.ec2.create_snapshot",
    ],
)
def test_other_ids_are_not_known(id: str) -> None:
    assert AwsNodes().get(id) is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("aws.ec2.DescribeVolumes", "aws.ec2.describe_volumes"),
        ("aws.ec2.describe-volumes", "aws.ec2.describe_volumes"),
        ("aws.ec2.descibe_volume", "aws.ec2.describe_volumes"),
        ("aws.ec3.describe_volumes", "aws.ec2.describe_volumes"),
        ("aws.EC2.describe_volumes", "aws.ec2.describe_volumes"),
        ("asw.ec2.describe_volumes", "aws.ec2.describe_volumes"),
        ("ec2.describe_volumes", "aws.ec2.describe_volumes"),
        ("aws.lamda.invok", "aws.lambda.invoke"),
        ("aws.cognito-idp.list_user", "aws.cognito_idp.list_users"),
        ("aws.ec2.create_bucket", "aws.s3.create_bucket"),
        ("aws.ec2.frobnicate_everything", None),
        ("aws.ec2", None),
        ("aws", None),
        ("logic.if", None),
    ],
)
def test_a_wrong_id_is_answered_with_the_one_that_was_meant(given: str, meant: str | None) -> None:
    assert AwsNodes().suggest(given) == meant


def test_the_quick_reading_of_operations_finds_what_the_whole_model_has() -> None:
    for name in ("ec2", "s3", "iam", "medialive", "mediapackage", "kafka"):
        assert set(outline_of(name)["operations"]) == set(load_service(name).model["operations"])


def test_every_built_in_service_is_listed() -> None:
    ids = list(AwsNodes().ids())
    assert len(ids) == len(set(ids)) > 19_000
    assert "aws.resource_explorer_2.search" in ids


def test_a_folder_of_the_users_own_without_a_model_does_no_harm(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cloudflow_dagster.providers.aws import models

    (tmp_path / "mine" / "2020-01-01").mkdir(parents=True)
    broken = tmp_path / "broken" / "2020-01-01"
    broken.mkdir(parents=True)
    (broken / "service-2.json").write_text("{")
    paths = [*models.service_models().search_paths, str(tmp_path)]
    monkeypatch.setattr(models.service_models(), "_search_paths", paths)
    services.cache_clear()
    try:
        assert "mine" in services()
        assert AwsNodes().get("aws.mine.do") is None
        assert AwsNodes().get("aws.broken.do") is None
        assert any(id.startswith("aws.sqs.") for id in AwsNodes().ids())
    finally:
        services.cache_clear()


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("CreateDBInstance", "Create DB instance"),
        ("ListObjectsV2", "List objects V2"),
        ("DescribeVpcs", "Describe VPCs"),
        ("ListTagsForResource", "List tags for resource"),
        ("UpdateACLs", "Update ACLs"),
        ("Scan", "Scan"),
    ],
)
def test_operations_are_named_in_words(operation: str, words: str) -> None:
    assert label(operation) == words


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Stops it.</p> <note> <p>Not <code>all</code>.</p> </note>", "Stops it. Not `all`."),
        ("<p>A &amp; B &lt;c&gt;</p>", "A & B <c>"),
        ("<!-- secret --><p>Seen</p>", "Seen"),
        ("<p>&lt;p&gt;Twice &lt;code&gt;escaped&lt;/code&gt;", "Twice `escaped`"),
        ("<p>A <i>Developer</i> &amp;amp; User Guide</p>", "A `Developer` & User Guide"),
        (None, ""),
    ],
)
def test_documentation_becomes_plain_text(html: str | None, text: str) -> None:
    assert plain(html) == text


def test_documentation_begins_with_what_is_done_and_not_with_a_notice() -> None:
    notice = "<important> <p>It ends.</p> </important>"
    assert plain(f"<note><p>Not there.</p></note>{notice}<p>Puts it.</p>").split(" ", 2)[:2] == [
        "Puts",
        "it.",
    ]
    assert plain(f"{notice}<p>Puts it.</p>") == "Puts it. It ends."
    assert plain(notice) == "It ends."


def test_long_documentation_ends_after_a_sentence() -> None:
    assert plain("<p>One sentence, e.g. this. " + "word " * 50, 60) == "One sentence, e.g. this."
    assert plain("word " * 50, 20) == "word word word word …"
    assert plain("<p>a" * 10_000, 50).startswith("a a")


def test_what_services_are_newer_about_is_a_hint_and_not_an_error() -> None:
    schema = node("aws.ec2.run_instances").config_schema["properties"]
    assert "t3.micro" in schema["InstanceType"]["x-enum"]
    assert (
        config_errors(
            "aws.ec2.run_instances", {"MinCount": 1, "MaxCount": 1, "InstanceType": "z99.huge"}
        )
        == []
    )
    pattern = node("aws.iam.get_user").config_schema["properties"]["UserName"]
    assert pattern["x-pattern"] == r"[\w+=,.@-]+"
    assert "pattern" not in pattern


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"VolumeId": "vol-1"}, None),
        ({}, "'VolumeId' is a required property"),
        ({"VolumeId": 1}, "1 is not of type 'string'"),
        ({"VolumeId": "v", "VolumId": "v"}, "unexpected"),
        ({"VolumeId": "v", "wait_for": "snapshot_completed"}, None),
        ({"VolumeId": "v", "wait_for": "snapshot_done"}, "is not one of"),
        ({"VolumeId": "v", "paginate": True}, "unexpected"),
    ],
)
def test_a_config_is_held_against_the_input_shape(config: Any, wrong: str | None) -> None:
    errors = config_errors("aws.ec2.create_snapshot", config)
    if wrong is None:
        assert errors == []
    else:
        assert wrong in errors[0]


def test_what_is_filled_in_is_not_required_though_the_model_says_so() -> None:
    path = node("aws.ec2.create_network_insights_path").config_schema
    assert path["required"] == ["Source", "Protocol"]
    vault = node("aws.glacier.describe_vault").config_schema
    assert vault["required"] == ["vaultName"]


def test_a_name_that_a_model_calls_a_token_stays_required() -> None:
    stop = node("aws.athena.stop_query_execution").config_schema
    assert stop["required"] == ["QueryExecutionId"]
    assert add_token(load_service("athena"), "StopQueryExecution", {}, TOKEN) == {}


def test_a_token_is_added_where_one_belongs_and_none_was_given() -> None:
    service = load_service("ec2")
    added = add_token(service, "RunInstances", {"MinCount": 1}, TOKEN)
    assert added == {"MinCount": 1, "ClientToken": fit_token(TOKEN, {"type": "string"})}
    assert add_token(service, "RunInstances", {"ClientToken": "own"}, TOKEN) == {
        "ClientToken": "own"
    }
    assert add_token(service, "DescribeVolumes", {}, TOKEN) == {}


def test_bytes_times_and_documents_are_taken_in_several_forms() -> None:
    body = "aws.s3.put_object"
    for value in ("text", {"base64": "AA=="}, {"file": "x"}):
        assert config_errors(body, {"Bucket": "b", "Key": "k", "Body": value}) == []
    assert config_errors(body, {"Bucket": "b", "Key": "k", "Body": {"path": "x"}})
    for value in ("2026-11-23", 1_795_000_000, 1.5):
        assert config_errors(body, {"Bucket": "b", "Key": "k", "Expires": value}) == []
    assert config_errors(body, {"Bucket": "b", "Key": "k", "Expires": True})


def test_json_in_a_text_is_a_text_but_in_headers() -> None:
    policy = "aws.networkmanager.put_resource_policy"
    assert config_errors(policy, {"PolicyDocument": "{}", "ResourceArn": "a"}) == []
    assert config_errors(policy, {"PolicyDocument": {}, "ResourceArn": "a"})
    bot = {"botName": "b", "botAlias": "a", "userId": "u1", "inputStream": "x"}
    said = {**bot, "contentType": "text/plain", "sessionAttributes": {"any": 1}}
    assert config_errors("aws.lex_runtime.post_content", said) == []


def test_keys_of_maps_are_as_long_as_the_service_wants_them() -> None:
    group = {"identifier": "a", "chatbotNotificationChannel": {"short": ["a" * 20]}}
    assert config_errors("aws.aiops.update_investigation_group", group)


def test_a_shape_that_contains_itself_is_defined_once() -> None:
    item = {"M": {"list": {"L": [{"S": "deep"}, {"BOOL": True}]}}}
    config = {"TableName": "t", "Item": {"id": item}}
    assert config_errors("aws.dynamodb.put_item", config) == []
    assert config_errors("aws.dynamodb.put_item", {"TableName": "t", "Item": {"id": {"X": "?"}}})
    schema = node("aws.wafv2.create_web_acl").config_schema
    assert "Statement" in schema["$defs"]
    jsonschema.Draft202012Validator.check_schema(schema)


def test_outputs_know_their_fields_and_no_others() -> None:
    schema = schema_of(load_service("ec2"), "DescribeVolumes", "output")
    assert schema["additionalProperties"] is False
    assert "ResponseMetadata" not in schema["properties"]
    volume = schema["properties"]["Volumes"]["items"]
    assert volume["additionalProperties"] is False
    assert volume["properties"]["CreateTime"]["format"] == "date-time"


def test_streams_of_events_are_there_but_say_that_they_cannot_run() -> None:
    found = node("aws.s3.select_object_content")
    assert "endless stream of events" in found.description
    assert found.check_config is not None
    [(path, sentence)] = found.check_config({})
    assert path == ()
    assert "`aws.s3.select_object_content`" in sentence


@pytest.mark.parametrize(
    ("service", "operation", "name"),
    [
        ("ec2", "RunInstances", "instance_running"),
        ("ec2", "StartInstances", "instance_running"),
        ("ec2", "CreateSnapshot", "snapshot_completed"),
        ("ec2", "CreateImage", "image_available"),
        ("ec2", "DeleteNatGateway", "nat_gateway_deleted"),
        ("s3", "CreateBucket", "bucket_exists"),
        ("s3", "PutObject", "object_exists"),
        ("rds", "CreateDBInstance", "db_instance_available"),
        ("rds", "CreateDBSnapshot", "db_snapshot_available"),
        ("dynamodb", "CreateTable", "table_exists"),
        ("lambda", "CreateFunction", "function_active_v2"),
        ("cloudformation", "CreateStack", "stack_create_complete"),
        ("cloudfront", "CreateInvalidation", "invalidation_completed"),
        ("ecs", "RunTask", "tasks_stopped"),
        ("ecs", "UpdateService", "services_stable"),
        ("eks", "CreateCluster", "cluster_active"),
        ("elbv2", "CreateLoadBalancer", "load_balancer_available"),
        ("route53", "ChangeResourceRecordSets", "resource_record_sets_changed"),
        ("ssm", "SendCommand", "command_executed"),
        ("elasticache", "CreateCacheCluster", "cache_cluster_available"),
    ],
)
def test_what_an_operation_begins_can_be_waited_for(
    service: str, operation: str, name: str
) -> None:
    assert name in waits_of(service, operation)


@pytest.mark.parametrize(
    ("service", "operation", "name"),
    [
        ("ec2", "CreateKeyPair", "instance_running"),
        ("cloudfront", "UpdateStreamingDistribution", "distribution_deployed"),
        ("cloudfront", "UpdateDistributionTenant", "distribution_deployed"),
        ("omics", "DeleteWorkflow", "run_completed"),
        ("dms", "CreateEndpoint", "endpoint_deleted"),
    ],
)
def test_a_waiter_whose_question_does_not_follow_is_not_offered(
    service: str, operation: str, name: str
) -> None:
    assert name not in waits_of(service, operation)


def wait(service: str, operation: str, name: str) -> Wait:
    return waits_of(service, operation)[name]


@pytest.mark.parametrize(
    ("which", "given", "got", "asked"),
    [
        (
            ("ec2", "RunInstances", "instance_running"),
            {},
            {"Instances": [{"InstanceId": "i-1"}, {"InstanceId": "i-2"}]},
            [{"InstanceIds": ["i-1", "i-2"]}],
        ),
        (
            ("ec2", "StartInstances", "instance_running"),
            {"InstanceIds": ["i-1"]},
            {"StartingInstances": []},
            [{"InstanceIds": ["i-1"]}],
        ),
        (
            ("ec2", "CreateSnapshot", "snapshot_completed"),
            {"VolumeId": "v"},
            {"SnapshotId": "s", "VolumeId": "v"},
            [{"SnapshotIds": ["s"]}],
        ),
        (
            ("s3", "PutObject", "object_exists"),
            {"Bucket": "b", "Key": "k", "IfNoneMatch": "*", "Body": b""},
            {"VersionId": "7", "ETag": "e"},
            [{"Bucket": "b", "Key": "k", "VersionId": "7"}],
        ),
        (
            ("ecs", "RunTask", "tasks_stopped"),
            {"cluster": "c"},
            {"tasks": [{"taskArn": "a"}]},
            [{"cluster": "c", "tasks": ["a"]}],
        ),
        (
            ("ssm", "SendCommand", "command_executed"),
            {"InstanceIds": ["i-1", "i-2"]},
            {"Command": {"CommandId": "c"}},
            [{"CommandId": "c", "InstanceId": "i-1"}, {"CommandId": "c", "InstanceId": "i-2"}],
        ),
        (
            ("elbv2", "CreateLoadBalancer", "load_balancer_available"),
            {"Name": "n"},
            {"LoadBalancers": [{"LoadBalancerArn": "a", "LoadBalancerName": "n"}]},
            [{"LoadBalancerArns": ["a"]}],
        ),
        (
            ("route53", "ChangeResourceRecordSets", "resource_record_sets_changed"),
            {"HostedZoneId": "z"},
            {"ChangeInfo": {"Id": "c"}},
            [{"Id": "c"}],
        ),
        (
            ("ec2", "DescribeInstances", "instance_running"),
            {"Filters": [{"Name": "tag:a", "Values": ["b"]}]},
            {},
            [{"Filters": [{"Name": "tag:a", "Values": ["b"]}]}],
        ),
        (("ec2", "RunInstances", "instance_running"), {}, {"Instances": []}, None),
    ],
)
def test_what_a_waiter_asks_follows_from_the_call(
    which: tuple[str, str, str], given: Any, got: Any, asked: Any
) -> None:
    assert wait(*which).inputs(given, got) == asked


@pytest.mark.parametrize(
    ("shape", "token"),
    [
        ({"type": "string"}, "01234567-89ab-4def-8123-456789abcdef"),
        ({"type": "string", "max": 36, "min": 1}, "01234567-89ab-4def-8123-456789abcdef"),
        ({"type": "string", "max": 32}, TOKEN[:32]),
        ({"type": "string", "max": 20}, TOKEN[:20]),
        ({"type": "string", "min": 40}, TOKEN),
        ({"type": "string", "pattern": "[a-z0-9]+"}, TOKEN[:32]),
        ({"type": "string", "pattern": r"\p{L}+"}, "01234567-89ab-4def-8123-456789abcdef"),
    ],
)
def test_a_token_takes_the_form_that_the_api_wants(shape: Any, token: str) -> None:
    assert fit_token(TOKEN, shape) == token
