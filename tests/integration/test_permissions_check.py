"""`cloudflow permissions --check` asks IAM, over a real connection, with the real SDK.

moto has no `iam:Simulate*`: a small server speaks IAM's and STS's protocol instead.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
from click.testing import CliRunner, Result

from cloudflow_dagster.cli import main

pytestmark = pytest.mark.integration

ROLE = "arn:aws:iam::111111111111:role/ci/deploy"
SESSION = "arn:aws:sts::111111111111:assumed-role/deploy/session"
USER = "arn:aws:iam::111111111111:user/ci"
PAGE = 2
"""Results that IAM gives at once here; AWS gives a hundred."""


class Iam(http.server.BaseHTTPRequestHandler):
    """STS and IAM, as far as they are asked."""

    who = SESSION
    allowed: tuple[tuple[str, str], ...] = ()
    may_simulate = True
    asked: ClassVar[list[dict[str, list[str]]]]

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        fields = parse_qs(self.rfile.read(size).decode())
        self.asked.append(fields)
        action = fields["Action"][0]
        status, text = (
            200,
            {
                "GetCallerIdentity": self.identity,
                "GetRole": self.role,
                "SimulatePrincipalPolicy": self.simulated,
            }[action](fields),
        )
        if action == "SimulatePrincipalPolicy" and not self.may_simulate:
            status, text = (
                403,
                (
                    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>"
                    "not authorized to perform: iam:SimulatePrincipalPolicy</Message></Error>"
                    "<RequestId>1</RequestId></ErrorResponse>"
                ),
            )
        elif status == 200:
            text = f"<{action}Response><{action}Result>{text}</{action}Result></{action}Response>"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def identity(self, _fields: dict[str, list[str]]) -> str:
        return f"<Arn>{self.who}</Arn><UserId>AROA1:session</UserId><Account>111111111111</Account>"

    def role(self, fields: dict[str, list[str]]) -> str:
        assert fields["RoleName"] == ["deploy"]
        return (
            f"<Role><Path>/ci/</Path><RoleName>deploy</RoleName><RoleId>AROA1</RoleId>"
            f"<Arn>{ROLE}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>"
        )

    def simulated(self, fields: dict[str, list[str]]) -> str:
        actions = [of[0] for name, of in fields.items() if name.startswith("ActionNames.")]
        resources = [of[0] for name, of in fields.items() if name.startswith("ResourceArns.")]
        pairs = [(action, resource) for action in actions for resource in resources]
        start = int(fields.get("Marker", ["0"])[0])
        end = start + PAGE
        members = "".join(
            f"<member><EvalActionName>{action}</EvalActionName>"
            f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
            f"<EvalDecision>{self.decision(action, resource)}</EvalDecision></member>"
            for action, resource in pairs[start:end]
        )
        more = end < len(pairs)
        marker = f"<Marker>{end}</Marker>" if more else ""
        return (
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{marker}"
            f"<EvaluationResults>{members}</EvaluationResults>"
        )

    def decision(self, action: str, resource: str) -> str:
        if action == "sns:Publish":
            return "explicitDeny"
        for known, pattern in self.allowed:
            if fnmatchcase(action, known) and fnmatchcase(resource, pattern):
                return "allowed"
        return "implicitDeny"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def iam() -> Iterator[tuple[type[Iam], str]]:
    class Handler(Iam):
        asked: ClassVar[list[dict[str, list[str]]]] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Handler, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def handler(
    iam: tuple[type[Iam], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> type[Iam]:
    handler, address = iam
    (tmp_path / "cloudflow.yaml").write_text(
        "credentials:\n"
        "  prod:\n"
        "    provider: aws\n"
        "    access_key_id: {env: CF_KEY}\n"
        "    secret_access_key: {env: CF_SECRET}\n"
        "    region: eu-west-1\n"
        f"    endpoint: {address}\n"
    )
    nodes = [
        {"id": "go", "type": "trigger.manual"},
        {"id": "stop", "type": "aws.ec2.stop_instances", "config": {"InstanceIds": ["i-1", "i-2"]}},
        {"id": "list", "type": "aws.s3.list_buckets"},
        {"id": "put", "type": "aws.s3.put_object", "config": {"Bucket": "b", "Key": "k"}},
    ]
    edges = [{"source": "go", "target": node["id"]} for node in nodes[1:]]
    (tmp_path / "flows").mkdir()
    flow = {"version": 1, "nodes": nodes, "edges": edges}
    (tmp_path / "flows" / "f.json").write_text(json.dumps(flow))
    monkeypatch.setenv("CF_KEY", "AKIAEXAMPLE")
    monkeypatch.setenv("CF_SECRET", "secret-of-the-test")
    monkeypatch.chdir(tmp_path)
    return handler


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["permissions", "f", "--check", *arguments])


def test_what_is_allowed_is_compared_page_by_page(handler: type[Iam]) -> None:
    handler.allowed = (("s3:*", "*"), ("ec2:StopInstances", "*/i-1"))
    result = check()
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"prod: {SESSION} may do 2 of 3 things.",
        "  lacks ec2:StopInstances on arn:aws:ec2:eu-west-1:111111111111:instance/i-2:"
        " nothing allows it",
    ]
    simulated = [f for f in handler.asked if f["Action"] == ["SimulatePrincipalPolicy"]]
    assert {f["PolicySourceArn"][0] for f in simulated} == {ROLE}
    handler.allowed = (("*", "*"),)
    handler.who = USER
    result = check("--format", "json")
    assert result.exit_code == 0
    compared = json.loads(result.stdout)["prod"]
    assert compared["who"] == USER
    assert compared["allowed"] == ["ec2:StopInstances", "s3:ListAllMyBuckets", "s3:PutObject"]
    assert compared["missing"] == []


def test_what_is_forbidden_is_told_from_what_nothing_allows(handler: type[Iam]) -> None:
    handler.allowed = (("*", "*"),)
    file = Path("flows/f.json")
    flow = json.loads(file.read_text())
    config = {"TopicArn": "arn:aws:sns:eu-west-1:111111111111:t", "Message": "x"}
    flow["nodes"].append({"id": "tell", "type": "aws.sns.publish", "config": config})
    flow["edges"].append({"source": "go", "target": "tell"})
    file.write_text(json.dumps(flow))
    result = check()
    assert result.exit_code == 1
    assert "  lacks sns:Publish on arn:aws:sns:eu-west-1:111111111111:t: a policy forbids it" in (
        result.stdout.splitlines()
    )


def test_who_may_not_ask_is_told_so_in_a_sentence(handler: type[Iam]) -> None:
    handler.may_simulate = False
    result = check()
    assert result.exit_code == 2
    assert result.stdout == (
        f"prod: not compared. `prod` may not ask what it may do: `{ROLE}` lacks the permission "
        "`iam:SimulatePrincipalPolicy` on itself. Allow that, or print the policy without "
        "`--check` and compare it by hand.\n"
    )


def test_the_root_user_has_no_policies_to_compare(handler: type[Iam]) -> None:
    handler.who = "arn:aws:iam::111111111111:root"
    result = check()
    assert result.exit_code == 2
    assert "is the account's root user, which may do everything" in result.stdout
