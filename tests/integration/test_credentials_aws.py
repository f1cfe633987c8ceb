"""Logins to AWS and secrets in AWS, over real connections."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from cloudflow_dagster.credentials import CredentialError, Credentials, LoginCheck, SecretError
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.simulator import ENVIRONMENT_VARIABLE

pytestmark = pytest.mark.integration

PROJECT = """\
credentials:
  sim: {provider: aws, simulated: true, region: us-east-1, default: true}
  audit:
    provider: aws
    source: sim
    role_arn: arn:aws:iam::222222222222:role/cloudflow-audit
    external_id: {env: CF_EXTERNAL_ID}
    session_name: nightly
  chained: {provider: aws, source: audit, role_arn: "arn:aws:iam::333333333333:role/deep"}
  keys:
    provider: aws
    access_key_id: {env: CF_KEY_ID}
    secret_access_key: {secret: key}
    region: eu-west-1
    endpoint: ENDPOINT
  profile: {provider: aws, profile: team, endpoint: ENDPOINT}
  role_by_profile:
    provider: aws
    profile: team
    role_arn: {env: CF_ROLE}
    endpoint: ENDPOINT
  chain: {provider: aws, endpoint: ENDPOINT}
  nowhere: {provider: aws, profile: team, endpoint: "http://127.0.0.1:9"}
secrets:
  key: {file: key}
  in_manager: {aws_secret: prod/shop/database, json_key: password}
  whole: {aws_secret: prod/shop/database}
  in_ssm: {ssm_parameter: /shop/prod/api-key, credential: sim, region: us-east-1}
  binary: {aws_secret: binary}
  not_text: {aws_secret: not-text}
  no_secret: {aws_secret: prod/shop/databse}
  no_parameter: {ssm_parameter: /shop/nothing}
  elsewhere: {ssm_parameter: /shop/prod/api-key, region: eu-west-1}
  no_member: {aws_secret: prod/shop/database, json_key: passwort}
  unreachable: {ssm_parameter: /x, credential: nowhere}
"""


@pytest.fixture(autouse=True)
def _own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with one profile and nothing else of AWS."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "aws-config"
    config.write_text(
        "[profile team]\nregion = eu-central-1\n"
        "aws_access_key_id = AKIATEAM\naws_secret_access_key = team-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CF_EXTERNAL_ID", "external-id-1")
    monkeypatch.setenv("CF_KEY_ID", "AKIAKEYS")
    monkeypatch.setenv("CF_ROLE", "arn:aws:iam::222222222222:role/team")
    (tmp_path / "key").write_text("keys-secret\n")


@pytest.fixture
def project(separate_cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, separate_cloud)
    (tmp_path / "cloudflow.yaml").write_text(PROJECT.replace("ENDPOINT", separate_cloud))
    return find_project(tmp_path)


def login_of(credentials: Credentials, name: str, region: str | None = None) -> Any:
    return credentials.login(name, "aws", region)


@pytest.mark.parametrize(
    ("name", "account", "who"),
    [
        ("sim", "123456789012", ":user/moto"),
        ("audit", "222222222222", ":assumed-role/cloudflow-audit/nightly"),
        ("chained", "333333333333", ":assumed-role/deep/cloudflow"),
        ("keys", "123456789012", ":user/moto"),
        ("profile", "123456789012", ":user/moto"),
        ("role_by_profile", "222222222222", ":assumed-role/team/cloudflow"),
    ],
)
def test_every_way_in_says_who_one_is(name: str, account: str, who: str, project: Project) -> None:
    check = project.credentials.test(name)
    assert check.identity is not None, check
    assert check.identity.account == account
    assert check.identity.who.endswith(who)


def test_the_default_chain_takes_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = project.credentials.test("chain")
    assert check.code == "NoCredentials"
    assert "AWS_PROFILE" in str(check.way_out)
    monkeypatch.setenv("AWS_PROFILE", "team")
    again = find_project(project.root)
    assert again.credentials.test("chain").ok
    assert login_of(again.credentials, "chain").region == "eu-central-1"


def test_regions_come_from_the_node_then_the_credential_then_its_source_or_profile(
    project: Project,
) -> None:
    credentials = project.credentials
    assert login_of(credentials, "sim").region == "us-east-1"
    assert login_of(credentials, "audit").region == "us-east-1"
    assert login_of(credentials, "audit", "eu-west-1").region == "eu-west-1"
    assert login_of(credentials, "keys").region == "eu-west-1"
    assert login_of(credentials, "profile").region == "eu-central-1"
    assert login_of(credentials, "sim") is login_of(credentials, "sim")
    client = login_of(credentials, "keys", "us-east-1").client("ec2")
    assert client is login_of(credentials, "keys").client("ec2", region="us-east-1")


def test_a_role_is_asked_for_with_its_external_id_and_session(project: Project) -> None:
    asked: list[Any] = []
    sts = login_of(project.credentials, "sim").client("sts", region="us-east-1", timeout=20)
    sts.meta.events.register(
        "provide-client-params.sts.AssumeRole", lambda params, **_: asked.append(dict(params))
    )
    login_of(project.credentials, "audit").identity()
    assert asked == [
        {
            "RoleArn": "arn:aws:iam::222222222222:role/cloudflow-audit",
            "RoleSessionName": "nightly",
            "DurationSeconds": 3600,
            "ExternalId": "external-id-1",
        }
    ]


def test_a_session_of_a_role_is_renewed_before_it_ends(project: Project) -> None:
    seen: list[str] = []
    project.credentials.listen(seen.append)
    sts = login_of(project.credentials, "sim").client("sts", region="us-east-1", timeout=20)
    ends = iter(
        [
            datetime.now(UTC) + timedelta(seconds=1),
            datetime.now(UTC) + timedelta(hours=1),
        ]
    )

    def shorten(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Credentials"]["Expiration"] = next(ends)

    sts.meta.events.register("after-call.sts.AssumeRole", shorten)
    login = login_of(project.credentials, "audit")
    with pytest.raises(botocore.exceptions.ClientError):
        login.client("sqs").get_queue_url(QueueName="none")
    assert len([value for value in seen if value.startswith("ASIA")]) == 1
    login.identity()
    login.identity()
    assert len([value for value in seen if value.startswith("ASIA")]) == 2


def test_keys_and_session_tokens_are_told_before_they_are_used(project: Project) -> None:
    seen: list[str] = []
    project.credentials.listen(seen.append)
    login_of(project.credentials, "audit").identity()
    assert seen[0] == "external-id-1"
    key, secret, token = seen[1:]
    assert key.startswith("ASIA")
    assert len(secret) == 40
    assert len(token) > 100
    login_of(project.credentials, "keys").identity()
    assert seen[4:] == ["keys-secret", "AKIAKEYS"]
    login_of(project.credentials, "profile").identity()
    assert seen[6:] == ["AKIATEAM", "team-secret"]


def test_an_endpoint_that_does_not_answer_is_told(project: Project) -> None:
    check = project.credentials.test("nowhere")
    assert (check.code, check.problem) == ("Unreachable", "http://127.0.0.1:9/ does not answer.")


def test_a_simulated_cloud_that_is_gone_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.credentials.test("sim").ok
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    check = project.credentials.test("audit")
    assert check.code == "NoSimulatedCloud"
    assert "cloudflow dev" in str(check.way_out)


class Sts(http.server.BaseHTTPRequestHandler):
    """Answers as AWS does when it refuses."""

    protocol_version = "HTTP/1.1"
    refusals: dict[str, tuple[int, str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = body.split("Action=")[1].split("&")[0]
        status, code, message = self.refusals[action]
        answer = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{message}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
        ).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Callable[..., LoginCheck]]:
    """Tests a credential against an AWS that refuses each action with what is given."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def test(name: str, **refusals: tuple[int, str, str]) -> LoginCheck:
        Sts.refusals = refusals
        endpoint = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "cloudflow.yaml").write_text(PROJECT.replace("ENDPOINT", endpoint))
        return find_project(tmp_path).credentials.test(name)

    yield test
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "ours", "way_out"),
    [
        (403, "ExpiredToken", "CredentialExpired", "Fetch new credentials."),
        (403, "InvalidClientTokenId", "InvalidAccessKey", "Check the key"),
        (403, "SignatureDoesNotMatch", "InvalidSecretKey", "`secret_access_key`"),
        (403, "AccessDenied", "AccessDenied", "Give the role or user the permission"),
        (400, "SomethingNew", "ClientError", "Check the network and the credential"),
    ],
)
def test_what_aws_refuses_is_told_with_a_way_out(
    status: int, code: str, ours: str, way_out: str, refusing: Callable[..., LoginCheck]
) -> None:
    check = refusing("keys", GetCallerIdentity=(status, code, "Said by AWS."))
    assert check.code == ours
    assert "Said by AWS" in str(check.problem)
    assert way_out in str(check.way_out)
    assert "keys-secret" not in repr(check)


def test_a_role_that_may_not_be_assumed_names_its_trust_policy(
    refusing: Callable[..., LoginCheck],
) -> None:
    denied = (403, "AccessDenied", "User: x is not authorized to perform: sts:AssumeRole")
    check = refusing("role_by_profile", AssumeRole=denied)
    assert check.code == "AccessDenied"
    assert "`arn:aws:iam::222222222222:role/team`" in str(check.problem)
    assert "User: x is not authorized" in str(check.problem)
    assert "trust policy" in str(check.way_out)
    assert "missing `external_id`" in str(check.way_out)
    expired = refusing("role_by_profile", AssumeRole=(403, "ExpiredToken", "Old."))
    assert expired.code == "CredentialExpired"


class TestSecrets:
    @pytest.fixture(autouse=True)
    def _more_secrets(self, project: Project) -> None:
        manager = login_of(project.credentials, "sim").client("secretsmanager")
        for name, value in (("binary", b"bytes-secret"), ("not-text", b"\xff\xfe")):
            with contextlib.suppress(manager.exceptions.ResourceExistsException):
                manager.create_secret(Name=name, SecretBinary=value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("key", "keys-secret"),
            ("in_manager", "simulated-password-1"),
            ("in_ssm", "simulated-api-key-1"),
            ("binary", "bytes-secret"),
        ],
    )
    def test_are_read_from_where_they_lie(self, name: str, value: str, project: Project) -> None:
        seen: list[str] = []
        assert project.secrets.for_run(seen.append).get(name) == value
        assert value in seen

    def test_may_be_whole_json(self, project: Project) -> None:
        assert json.loads(project.secrets.get("whole"))["username"] == "shop"

    @pytest.mark.parametrize(
        ("name", "code", "said"),
        [
            ("no_secret", "NoSuchSecret", "There is no `prod/shop/databse` in Secrets Manager"),
            ("no_parameter", "NoSuchSecret", "There is no `/shop/nothing` in the SSM parameter"),
            ("elsewhere", "NoSuchSecret", "credential or region"),
            ("no_member", "NoSuchMember", "Did you mean `password`?"),
            ("not_text", "NotText", "is not UTF-8 text"),
            ("unreachable", "Unreachable", "http://127.0.0.1:9/ does not answer"),
        ],
    )
    def test_that_cannot_be_read_say_why(
        self, name: str, code: str, said: str, project: Project
    ) -> None:
        with pytest.raises(SecretError) as caught:
            project.secrets.get(name)
        assert caught.value.code == code
        assert said in caught.value.message
        assert "simulated-password" not in caught.value.message

    def test_of_an_account_that_cannot_be_reached_at_all_say_so(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(ENVIRONMENT_VARIABLE)
        with pytest.raises(SecretError, match="`in_ssm` cannot be read: The credential `sim`"):
            project.secrets.get("in_ssm")


def test_a_failure_in_a_call_is_explained_by_the_login(project: Project) -> None:
    login = login_of(project.credentials, "nowhere")
    with pytest.raises(botocore.exceptions.EndpointConnectionError) as caught:
        login.client("sqs", retries=0).list_queues()
    why = login.explain(caught.value)
    assert isinstance(why, CredentialError)
    assert why.transient
