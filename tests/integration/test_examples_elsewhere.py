"""The example flow of the node types that belong to no cloud does what it says, on real servers."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.engine.instance import dagster_home
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers.examples import FOLDER
from tests.fixtures.mail import taking_mails
from tests.fixtures.programs import CommandLine
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

CLEAN: dict[str, Any] = {
    "version": 1,
    "params": {"type": "object", "properties": {"days": {"type": "integer"}}},
    "nodes": [
        {"id": "start", "type": "trigger.manual"},
        {"id": "keep", "type": "flow.result", "config": {"value": "{{ params.days }}"}},
    ],
    "edges": [{"source": "start", "target": "keep"}],
}
SECRETS = ("tickets", "github", "shop_database", "slack", "mail_server")


def site(asked: Asked) -> Answer:
    """Answer as the ticket system, GitHub and Slack do."""
    as_json = {"content-type": "application/json"}
    match asked.method, asked.path:
        case "GET", "/tickets":
            tickets = [{"title": f"Fire {n}", "priority": n} for n in range(1, 6)]
            return Answer(200, json.dumps(tickets), as_json)
        case "POST", "/repos/acme/shop/issues":
            number = int(json.loads(asked.body)["title"].removeprefix("Fire ")) * 10
            made = {"number": number, "html_url": "https://x.example/1", "id": number}
            return Answer(201, json.dumps(made), as_json)
        case "POST", "/repos/acme/shop/actions/workflows/deploy.yml/dispatches":
            return Answer(204)
        case "POST", "/hook":
            return Answer(200, "ok")
        case _:
            return Answer(404)


def test_urgent_tickets_become_issues_after_somebody_has_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow: dict[str, Any] = json.loads((FOLDER / "elsewhere.json").read_text())["flow"]
    with serving(site) as web, taking_mails() as mails:
        for node in flow["nodes"]:
            config = node["config"]
            if node["type"] == "generic.http.request":
                config["url"] = web.url("/tickets")
            elif node["type"].startswith("generic.github"):
                config["api"] = web.url("")
        database = tmp_path / "shop.sqlite"
        with closing(sqlite3.connect(database)) as made:
            made.execute("CREATE TABLE reports (issues INTEGER)")
        cloudflow = CommandLine(tmp_path)
        secrets = {
            "TICKETS": "t-1859",
            "GITHUB": "g-1859",
            "SHOP_DATABASE": f"sqlite:///{database}",
            "SLACK": web.url("/hook"),
            "MAIL_SERVER": f"smtp+plain://127.0.0.1:{mails.port}",
        }
        for name, secret in secrets.items():
            monkeypatch.setenv(name, secret)
        lines = "".join(f"  {name}: {{env: {name.upper()}}}\n" for name in SECRETS)
        (tmp_path / "cloudflow.yaml").write_text(f"secrets:\n{lines}")
        (tmp_path / "flows").mkdir()
        (tmp_path / "flows" / "elsewhere.json").write_text(json.dumps(flow))
        (tmp_path / "flows" / "elsewhere_clean.json").write_text(json.dumps(CLEAN))

        waits = cloudflow("run", "elsewhere", "--format", "json")
        run_id = waits.json["run_id"]
        assert [asked.path for asked in web.asked] == ["/tickets"], waits
        [wait] = cloudflow("waits", "--format", "json").json
        assert (wait["node"], wait["message"]) == ("ask", "Open 3 issues?")
        assert cloudflow("approve", run_id, "--by", "ada").status == 0
        finish(tmp_path, cloudflow, run_id)

        asked = [(each.method, each.path) for each in web.asked]
        assert asked.count(("POST", "/repos/acme/shop/issues")) == 3
        assert asked[-2:] == [
            ("POST", "/hook"),
            ("POST", "/repos/acme/shop/actions/workflows/deploy.yml/dispatches"),
        ]
        told = json.loads(web.asked[-2].body)
        assert told["text"] == "3 issues were opened."
        assert web.asked[0].headers["authorization"] == "Bearer t-1859"
        [(recipients, mail)] = mails.mails
        assert (recipients, mail["subject"]) == (["ops@example.com"], "Urgent tickets")
    with closing(sqlite3.connect(database)) as kept:
        assert kept.execute("SELECT issues FROM reports").fetchall() == [(3,)]


def finish(root: Path, cloudflow: CommandLine, run_id: str) -> None:
    """Go on with a run that was answered, as the process of `cloudflow dev` does that watches."""
    home = str(dagster_home(find_project(root)))
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudflow_dagster.engine.resuming"],
        cwd=root,
        env={**os.environ, "DAGSTER_HOME": home},
    )
    try:
        deadline = time.monotonic() + 120
        found: dict[str, Any] = {"status": "waiting"}
        while found["status"] not in {"success", "failure"}:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
            found = cloudflow("runs", "show", run_id, "--format", "json").json
        assert found["status"] == "success", found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
