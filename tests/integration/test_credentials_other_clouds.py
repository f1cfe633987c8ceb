"""Logins to Google Cloud and Azure with their own SDKs, against token servers of this machine."""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cloudflow_dagster.project import Project, find_project

pytestmark = pytest.mark.integration
ACCOUNT = "robot@shop.iam.gserviceaccount.com"


class TokenServer(http.server.BaseHTTPRequestHandler):
    """Gives out tokens as Google and as an Azure machine's identity endpoint do."""

    protocol_version = "HTTP/1.1"
    status = 200
    answer: dict[str, Any]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.reply()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.asked.append(f"{self.path} {self.rfile.read(length).decode()[:40]}")
        self.reply()

    def reply(self) -> None:
        content = json.dumps(self.answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def tokens() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenServer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    TokenServer.asked = []
    TokenServer.status = 200
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def project_of(folder: Path, text: str) -> Project:
    (folder / "cloudflow.yaml").write_text(text)
    return find_project(folder)


class TestGcp:
    @pytest.fixture
    def key_file(self, tokens: str, private_key: str, tmp_path: Path) -> Path:
        TokenServer.answer = {"access_token": "ya29.token-1", "expires_in": 3600}
        file = tmp_path / "key.json"
        file.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "shop-prod",
                    "private_key_id": "1",
                    "private_key": private_key,
                    "client_email": ACCOUNT,
                    "token_uri": f"{tokens}/token",
                }
            )
        )
        return file

    def test_a_key_file_logs_in_and_every_secret_is_told(
        self, key_file: Path, private_key: str, tmp_path: Path
    ) -> None:
        project = project_of(
            tmp_path,
            "credentials:\n  g: {provider: gcp, service_account_file: key.json, "
            "location: europe-west1}",
        )
        seen: list[str] = []
        project.credentials.listen(seen.append)
        check = project.credentials.test("g")
        assert check.identity is not None, check
        assert (check.identity.account, check.identity.who) == ("shop-prod", ACCOUNT)
        login: Any = project.credentials.login(None, "gcp")
        assert (login.project, login.location, login.region) == ("shop-prod", *["europe-west1"] * 2)
        assert project.credentials.login(None, "gcp", "us-east1").region == "us-east1"
        assert login.token() == "ya29.token-1"
        assert {private_key, "ya29.token-1", key_file.read_text()} <= set(seen)
        assert len(TokenServer.asked) == 1

    def test_the_key_may_come_from_a_secret_and_the_project_from_the_file(
        self, key_file: Path, tmp_path: Path
    ) -> None:
        project = project_of(
            tmp_path,
            "credentials:\n"
            "  g: {provider: gcp, service_account_json: {secret: k}, project: other}\n"
            "secrets:\n  k: {file: key.json}",
        )
        check = project.credentials.test("g")
        assert check.identity is not None
        assert check.identity.account == "other"

    def test_a_refused_key_is_told(self, key_file: Path, tmp_path: Path) -> None:
        TokenServer.status = 400
        TokenServer.answer = {
            "error": "invalid_grant",
            "error_description": "Invalid JWT Signature.",
        }
        project = project_of(
            tmp_path, "credentials:\n  g: {provider: gcp, service_account_file: key.json}"
        )
        check = project.credentials.test("g")
        assert check.code == "CredentialExpired"
        assert "Invalid JWT Signature" in str(check.problem)

    @pytest.mark.parametrize("content", ["canary", "{}", "[]", '{"private_key": "canary"}'])
    def test_what_is_no_key_file_is_told_without_its_text(
        self, content: str, tmp_path: Path
    ) -> None:
        (tmp_path / "key.json").write_text(content)
        project = project_of(
            tmp_path, "credentials:\n  g: {provider: gcp, service_account_file: key.json}"
        )
        check = project.credentials.test("g")
        assert check.code == "BadKeyFile"
        assert "canary" not in repr(check)

    def test_no_default_credentials_say_how_to_get_some(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        check = project_of(tmp_path, "credentials:\n  g: {provider: gcp}").credentials.test("g")
        assert check.code == "NoCredentials"
        assert "gcloud auth application-default login" in str(check.way_out)


def azure_token(**claims: str) -> str:
    def part(data: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.signature"


class TestAzure:
    @pytest.fixture(autouse=True)
    def _machine(self, tokens: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """An App Service: its identity is had from an endpoint named in the environment."""
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tokens}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-value")
        TokenServer.answer = {
            "access_token": azure_token(appid="app-1"),
            "expires_on": str(int(time.time()) + 3600),
            "token_type": "Bearer",
            "resource": "https://management.azure.com",
        }

    def test_a_managed_identity_logs_in_and_its_token_is_told(self, tmp_path: Path) -> None:
        project = project_of(
            tmp_path,
            "credentials:\n  m: {provider: azure, managed_identity: true, client_id: user-1, "
            "subscription: sub-1, location: westeurope}",
        )
        seen: list[str] = []
        project.credentials.listen(seen.append)
        check = project.credentials.test("m")
        assert check.identity is not None, check
        assert (check.identity.account, check.identity.who) == ("sub-1", "app-1")
        assert "client_id=user-1" in TokenServer.asked[0]
        assert seen == [TokenServer.answer["access_token"]]
        login: Any = project.credentials.login("m", "azure")
        assert (login.subscription, login.region) == ("sub-1", "westeurope")
        assert project.credentials.login("m", "azure", "northeurope").region == "northeurope"
        login.credential.get_token_info("https://vault.azure.net/.default")

    def test_a_refused_identity_is_told(self, tmp_path: Path) -> None:
        TokenServer.status = 400
        TokenServer.answer = {"statusCode": 400, "message": "No identity here."}
        project = project_of(
            tmp_path, "credentials:\n  m: {provider: azure, managed_identity: true}"
        )
        check = project.credentials.test("m")
        assert check.code in {"AccessDenied", "NoCredentials"}
        assert check.way_out

    def test_a_service_principal_needs_what_its_references_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (
            "credentials:\n  p: {provider: azure, tenant_id: t-1, client_id: c-1, "
            "client_secret: {env: CF_AZURE}}"
        )
        monkeypatch.delenv("CF_AZURE", raising=False)
        assert project_of(tmp_path, text).credentials.test("p").code == "NoSuchVariable"
        monkeypatch.setenv("CF_AZURE", "azure-secret")
        project = project_of(tmp_path, text)
        seen: list[str] = []
        project.credentials.listen(seen.append)
        project.credentials.login("p", "azure")
        assert seen == ["azure-secret"]


@pytest.mark.parametrize(("provider", "module"), [("gcp", "google.auth"), ("azure", "azure")])
def test_without_its_sdk_a_login_names_the_extra(
    provider: str, module: str, tmp_path: Path
) -> None:
    (tmp_path / "cloudflow.yaml").write_text(f"credentials:\n  x: {{provider: {provider}}}")
    code = (
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "from cloudflow_dagster.project import find_project\n"
        f"check = find_project({str(tmp_path)!r}).credentials.test('x')\n"
        "print(check.code, check.way_out)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == (
        f"NotInstalled Install it: `pip install 'cloudflow-dagster[{provider}]'`."
    )
