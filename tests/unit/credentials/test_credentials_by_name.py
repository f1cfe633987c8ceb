"""Finding a credential, and saying what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.credentials import CredentialError, Credentials
from cloudflow_dagster.credentials.spec import AwsSpec, AzureSpec, CredentialSpec, GcpSpec

SPECS: dict[str, CredentialSpec] = {
    "sim": AwsSpec(provider="aws", simulated=True, region="us-east-1"),
    "audit": AwsSpec(provider="aws", source="sim", role_arn="arn:aws:iam::2:role/audit"),
    "prod": AwsSpec(provider="aws", profile="prod", region="eu-central-1"),
    "keys": AwsSpec.model_validate(
        {
            "provider": "aws",
            "access_key_id": {"env": "CF_TEST_ID"},
            "secret_access_key": {"file": "key"},
        }
    ),
    "chain": AwsSpec(provider="aws"),
    "data": GcpSpec(provider="gcp", service_account_file="key.json", location="europe-west1"),
    "office": AzureSpec.model_validate(
        {
            "provider": "azure",
            "tenant_id": "t",
            "client_id": "c",
            "client_secret": {"secret": "azure"},
        }
    ),
}


def credentials_of(
    folder: Path, specs: Mapping[str, CredentialSpec] = SPECS, **defaults: str
) -> Credentials:
    return Credentials(
        specs,
        defaults=defaults,
        root=folder,
        secret=lambda name: f"value-of-{name}",
        simulated_endpoint=lambda: None,
    )


def refusal(credentials: Credentials, name: str | None, provider: str) -> tuple[str, str]:
    with pytest.raises(CredentialError) as caught:
        credentials.login(name, provider)
    assert caught.value.message == f"{caught.value.problem} {caught.value.way_out}"
    return caught.value.code, caught.value.way_out


def test_says_what_may_be_shown_and_no_value(tmp_path: Path) -> None:
    described = credentials_of(tmp_path, aws="sim", gcp="data").describe()
    assert [(c.name, c.how, c.region, c.default, c.simulated) for c in described] == [
        ("audit", "role arn:aws:iam::2:role/audit by credential sim", "us-east-1", False, True),
        ("chain", "AWS's default chain", None, False, False),
        ("data", "key file key.json", "europe-west1", True, False),
        ("keys", "access key from environment variable CF_TEST_ID", None, False, False),
        ("office", "service principal c, secret from secret azure", None, False, False),
        ("prod", "profile prod", "eu-central-1", False, False),
        ("sim", "the simulated cloud", "us-east-1", True, True),
    ]


def test_an_unknown_name_suggests_one(tmp_path: Path) -> None:
    credentials = credentials_of(tmp_path)
    assert refusal(credentials, "prd", "aws") == ("NoSuchCredential", "Did you mean `prod`?")
    assert credentials.suggest("prd") == "Did you mean `prod`?"
    assert credentials.suggest("prd", "gcp") is None
    code, way_out = refusal(credentials, "zzz", "aws")
    assert code == "NoSuchCredential"
    assert "`audit`, `chain`, `data`" in way_out


def test_a_credential_of_another_provider_is_refused(tmp_path: Path) -> None:
    code, way_out = refusal(credentials_of(tmp_path), "data", "aws")
    assert (code, way_out) == ("WrongProvider", "Name a `aws` credential in the node.")


def test_without_a_default_the_node_must_name_one(tmp_path: Path) -> None:
    code, way_out = refusal(credentials_of(tmp_path), None, "aws")
    assert code == "NoDefaultCredential"
    assert "`audit`" in way_out
    code, way_out = refusal(credentials_of(tmp_path, {}), None, "gcp")
    assert (code, way_out) == (
        "NoDefaultCredential",
        "Add one to `credentials` in `cloudflow.yaml`.",
    )


@pytest.mark.parametrize("name", ["sim", "audit"])
def test_no_running_simulated_cloud_says_how_to_start_one(name: str, tmp_path: Path) -> None:
    code, way_out = refusal(credentials_of(tmp_path), name, "aws")
    assert code == "NoSimulatedCloud"
    assert "cloudflow dev" in way_out


def test_a_reference_that_leads_nowhere_is_told_by_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CF_TEST_ID", raising=False)
    check = credentials_of(tmp_path).test("keys")
    assert not check.ok
    assert (check.code, check.problem) == (
        "NoSuchVariable",
        "The environment variable `CF_TEST_ID` is not set.",
    )
    monkeypatch.setenv("CF_TEST_ID", "AKIA")
    check = credentials_of(tmp_path).test("keys")
    assert check.code == "NoSuchFile"
    assert check.way_out


def test_a_profile_that_does_not_exist_suggests_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile proud]\nregion = us-east-1\n[profile dev]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    check = credentials_of(tmp_path).test("prod")
    assert check.code == "NoSuchProfile"
    assert check.way_out == "Did you mean `proud`?"


@pytest.mark.parametrize("name", ["prod", "chain"])
def test_a_broken_aws_configuration_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile prod\n= nonsense")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert credentials_of(tmp_path).test(name).code == "BadProfile"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert credentials_of(tmp_path).test(name).code == "NoSuchProfile"


def test_values_behind_references_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CF_TEST_ID", "the-access-key")
    (tmp_path / "key").write_text("the-secret-key\n")
    seen: list[str] = []
    credentials = credentials_of(tmp_path)
    credentials.listen(seen.append)
    login: Any = credentials.login("keys", "aws", "us-east-1")
    login.client("sts").generate_presigned_url("get_caller_identity")
    assert seen == ["the-access-key", "the-secret-key"]


def test_keys_by_reference_do_not_mix_with_the_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CF_TEST_ID", "the-access-key")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-machine")
    (tmp_path / "key").write_text("k")
    login: Any = credentials_of(tmp_path).login("keys", "aws", "us-east-1")
    url = login.client("sts").generate_presigned_url("get_caller_identity")
    assert "the-access-key" in url
    assert "of-the-machine" not in url


def test_importing_costs_no_sdk() -> None:
    import subprocess
    import sys

    code = (
        "import sys, cloudflow_dagster.project, cloudflow_dagster.simulator\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'boto3', 'botocore', 'moto', 'google', 'azure', 'httpx', 'dagster', 'jsonschema'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
