"""What an AWS login says and does without talking to anybody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions as aws
import pytest
from botocore.session import Session

from cloudflow_dagster.credentials import AwsLogin, Credentials
from cloudflow_dagster.credentials.aws_errors import explain
from cloudflow_dagster.credentials.spec import AwsSpec
from cloudflow_dagster.simulator.session import isolated_session


def answer(code: str, message: str = "no") -> aws.ClientError:
    return aws.ClientError({"Error": {"Code": code, "Message": message}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (answer("ExpiredToken"), "CredentialExpired"),
        (answer("ExpiredTokenException"), "CredentialExpired"),
        (answer("InvalidClientTokenId"), "InvalidAccessKey"),
        (answer("UnrecognizedClientException"), "InvalidAccessKey"),
        (answer("SignatureDoesNotMatch"), "InvalidSecretKey"),
        (answer("AccessDenied"), "AccessDenied"),
        (answer("OptInRequired"), "NotSubscribed"),
        (aws.NoCredentialsError(), "NoCredentials"),
        (aws.PartialCredentialsError(provider="env", cred_var="X"), "NoCredentials"),
        (aws.UnauthorizedSSOTokenError(), "CredentialExpired"),
        (aws.SSOTokenLoadError(profile_name="x", error_msg="y"), "CredentialExpired"),
        (aws.TokenRetrievalError(provider="sso", error_msg="y"), "CredentialExpired"),
        (aws.LoginRefreshRequired(), "CredentialExpired"),
        (aws.CredentialRetrievalError(provider="x", error_msg="y"), "NoCredentials"),
        (aws.MetadataRetrievalError(error_msg="y"), "NoCredentials"),
        (aws.ProfileNotFound(profile="x"), "NoSuchProfile"),
        (aws.ConfigParseError(path="x"), "BadProfile"),
        (aws.InvalidConfigError(error_msg="x"), "BadProfile"),
        (aws.InfiniteLoopConfigError(source_profile="x", visited_profiles=[]), "BadProfile"),
        (aws.NoRegionError(), "NoRegion"),
        (aws.InvalidRegionError(region_name="x y"), "NoRegion"),
        (aws.EndpointConnectionError(endpoint_url="http://h", error="e"), "Unreachable"),
        (aws.ConnectTimeoutError(endpoint_url="http://h", error="e"), "Unreachable"),
        (aws.ProxyConnectionError(proxy_url="http://h", error="e"), "Unreachable"),
        (aws.SSLError(endpoint_url="http://h", error="e"), "Unreachable"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_failures_to_log_in_have_a_code_and_a_way_out(error: Exception, code: str) -> None:
    why = explain(error)
    assert why is not None
    assert why.code == code
    assert len(why.way_out) > 20


@pytest.mark.parametrize("error", [answer("Throttling"), ValueError("x"), answer("NoSuchBucket")])
def test_other_failures_are_not_explained(error: Exception) -> None:
    assert explain(error) is None


class TestClient:
    @pytest.fixture
    def login(self) -> AwsLogin:
        return AwsLogin(
            "sim", isolated_session("us-east-1"), region="us-east-1", endpoint="http://127.0.0.1:1"
        )

    def test_is_made_once(self, login: AwsLogin) -> None:
        first = login.client("sqs")
        assert login.client("sqs") is first
        assert login.client("sqs", timeout=60) is not first
        assert login.client("sqs", region="eu-west-1") is login.in_region("eu-west-1").client("sqs")
        assert login.in_region(None) is login.in_region("us-east-1") is login

    def test_timeouts_that_are_nearly_the_same_share_a_client_and_never_grow(
        self, login: AwsLogin
    ) -> None:
        clients = {id(login.client("sqs", timeout=120 - i / 100)) for i in range(100)}
        assert len(clients) <= 2
        for seconds in (1.5, 10, 59.9, 120, 900):
            config = login.client("sqs", timeout=seconds).meta.config
            assert 0.9 * seconds <= config.read_timeout <= seconds
            assert config.connect_timeout <= 10
        assert login.client("sqs", timeout=0.01).meta.config.read_timeout == 1

    def test_repeats_by_botocores_standard_mode_and_says_who_asks(self, login: AwsLogin) -> None:
        config = login.client("sqs").meta.config
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}
        assert login.client("sqs", retries=0).meta.config.retries["total_max_attempts"] == 1
        assert "cloudflow" in config.user_agent_extra

    def test_many_threads_get_the_same_client(self, login: AwsLogin) -> None:
        services = ("sqs", "sns", "sts", "events") * 8
        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda service: id(login.client(service)), services))
        assert len(set(made)) == 4

    def test_without_a_region_says_where_to_give_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for variable in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        login = AwsLogin("x", Session(), region=None)
        with pytest.raises(Exception, match="Give the credential a `region`") as caught:
            login.client("ec2")
        assert getattr(caught.value, "code", None) == "NoRegion"


def test_the_simulated_cloud_is_reached_by_nothing_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\naws_access_key_id = real\naws_secret_access_key = real\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "not-there",
        "AWS_ACCESS_KEY_ID": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL": "http://real.example.com",
        "AWS_ENDPOINT_URL_STS": "http://real.example.com",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_CA_BUNDLE": str(tmp_path / "none.pem"),
        "HTTP_PROXY": "http://proxy.example.com",
    }.items():
        monkeypatch.setenv(name, value)
    credentials = Credentials(
        {"sim": AwsSpec(provider="aws", simulated=True)},
        defaults={"aws": "sim"},
        root=tmp_path,
        secret=str,
        simulated_endpoint=lambda: "http://127.0.0.1:4711",
    )
    login: Any = credentials.login(None, "aws")
    client = login.client("sts")
    assert login.simulated
    assert login.region == client.meta.region_name == "us-east-1"
    assert client.meta.endpoint_url == "http://127.0.0.1:4711"
    assert client.meta.config.proxies == {}
    assert "real" not in client.generate_presigned_url("get_caller_identity")
    assert login.client("s3").meta.config.s3["addressing_style"] == "path"
