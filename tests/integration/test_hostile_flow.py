"""Opening, checking, formatting, planning and drawing somebody else's flow executes nothing.

A flow that tries everything is taken through all that happens before a run, in a process that notes
what Python does: processes, connections, name look-ups, files written, and files read that are none
of its business. Only the project's settings decide what a run of it then may do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.web import Answer, serving

pytestmark = pytest.mark.integration

# Is run in a process of its own: an audit hook cannot be taken away again.
_WATCHED = r"""
import json, os, sys
from pathlib import Path

import cloudflow_dagster.cli.check, cloudflow_dagster.cli.fmt, cloudflow_dagster.cli.nodes
import dagster, httpx, jsonschema, urllib3  # what importing does is not looked at
from cloudflow_dagster.compiler import pipeline
from cloudflow_dagster.engine.definitions import build_definitions
from cloudflow_dagster.expressions import parse_template
from cloudflow_dagster.flow.schema import flow_schema
from cloudflow_dagster.cli import main
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue

STARTED = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
           "os.forkpty", "pty.spawn", "os.startfile", "ctypes.dlopen"}
REACHED = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request", "http.client.connect"}
CHANGED = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "os.chown", "os.putenv", "shutil.rmtree", "tempfile.mkstemp",
           "tempfile.mkdtemp", "os.kill", "sqlite3.connect"}
done = []
watching = True

def hook(event, args):
    if not watching:
        return
    if event in STARTED | REACHED | CHANGED:
        done.append([event, repr(args)[:300]])
    elif event == "open":
        path, mode, flags = args
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and path != "/dev/null":
            done.append(["write", repr(args)[:300]])
        elif isinstance(path, (str, bytes)) and "witness" in os.fsdecode(path):
            done.append(["read", repr(args)[:300]])
    elif event in {"exec", "compile"} and event == "exec" and "HOSTILE" in names_of(args[0]):
        done.append(["exec", repr(args)[:300]])

def names_of(code):
    own = getattr(code, "co_names", ()) + tuple(map(str, getattr(code, "co_consts", ())))
    return " ".join(own)

def run(*args):
    try:
        main(args, prog_name="cloudflow", standalone_mode=False)
    except SystemExit:
        pass

sys.addaudithook(hook)
controls = sys.argv[1] == "control"
if controls:
    import socket, subprocess
    subprocess.run(["true"])
    open("written", "w").close()
    open("witness.txt").read()
    exec("HOSTILE = 1")
    try:
        socket.create_connection(("127.0.0.1", 9), 1)
    except OSError:
        pass
else:
    project = find_project(Path.cwd())
    compiled = pipeline.compile_project(project, catalogue())
    for each in compiled:
        if each.plan is not None:
            each.plan.model_dump_json()
    run("check")
    run("check", "--format", "json")
    run("check", "--format", "sarif")
    run("fmt", "--check")
    run("nodes", "show", "generic.code")
    definitions = build_definitions(project)
    for job in definitions.resolve_all_job_defs():
        job.get_job_snapshot_id() if hasattr(job, "get_job_snapshot_id") else job.graph
    for schedule in definitions.schedules or ():
        schedule.cron_schedule
watching = False
print(json.dumps({"done": done, "compiled": [] if controls else [
    [c.file, c.plan is not None, sorted({d.code for d in c.diagnostics})] for c in compiled]}),
    file=sys.stderr)
"""
_CLOUDFLOW = "from cloudflow_dagster.cli import main; main()"
_CODE = (
    "import os, socket\nHOSTILE = os.system('touch {0}')\nopen('{0}', 'w')\n"
    "socket.create_connection(('127.0.0.1', {1}))\n"
    "@(lambda f: [os.system('touch {0}'), f][1])\n"
    "def main(inputs, x=os.system('touch {0}')):\n    os.system('touch {0}')\n"
)


def node(id: str, type: str, config: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, **({} if config is None else {"config": config}), **more}


def chained(nodes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    edges = [{"source": nodes[0]["id"], "target": n["id"]} for n in nodes[1:]]
    return {"version": 1, "nodes": nodes, "edges": edges, **more}


def hostile_but_valid(root: Path, port: int) -> dict[str, Any]:
    """Return a flow that may run, and does all that a flow can do when it does."""
    made, web = root / "made", f"http://127.0.0.1:{port}"
    text = f"<script>fetch('{web}')</script> ![x]({web}/x.png) $(touch {made}) `touch {made}`"
    upload = {"Bucket": "b", "Key": "k", "Body": {"file": str(root / "witness.txt")}}
    regex = "{{ $match($pad('', 60, 'a') & '!', /(a+)+$/) }}"
    return chained(
        [
            node("start", "trigger.cron", {"schedule": "* * * * *"}, label=text, notes=text),
            node("code", "generic.code", {"code": _CODE.format(made, port)}),
            node("asks", "generic.http.request", {"url": f"{web}/{{{{ $secret('file') }}}}"}),
            node("meta", "generic.http.request", {"url": "http://169.254.169.254/latest/"}),
            node("local", "generic.http.request", {"url": "{{ 'file://' & $secret('file') }}"}),
            node("file", "aws.s3.put_object", upload),
            node("large", "generic.transform", {"value": "{{ $pad('', 2000000000) }}"}),
            node(
                "endless", "generic.transform", {"value": "{{ ($f := function() { $f() }; $f()) }}"}
            ),
            node("regex", "generic.transform", {"value": regex}),
            node("many", "generic.transform", {"value": "{{ [1..10000000].($ * 2) }}"}),
            node("drops", "aws.ec2.terminate_instances", {"InstanceIds": ["i-1"]}),
            node("calls", "flow.call", {"flow": "hostile", "max_depth": 2}),
        ],
        id="hostile",
        name=text,
        description=text,
        tags={"x": text[:60]},
        concurrency={"limit": 9, "key": "{{ $pad('', 2000000000) }}"},
    )


def broken_on_purpose(root: Path, port: int) -> dict[str, dict[str, Any]]:
    """Return flows that must not be compiled, each with a way out of its file."""
    web, witness = f"http://127.0.0.1:{port}", str(root / "witness.txt")
    start = node("start", "trigger.manual")
    with_params = {
        "remote": {"$ref": f"{web}/schema.json"},
        "local": {"$ref": f"file://{witness}"},
        "base": {"$id": f"{web}/", "$ref": "other.json"},
        "dynamic": {"$dynamicRef": f"{web}/#x"},
    }
    flows = {
        f"params_{name}": chained(
            [start],
            params={"type": "object", "properties": {"a": part}},
        )
        for name, part in with_params.items()
    }
    types = [
        "aws.../../../../etc.passwd",
        "aws.ec2/../../x.describe",
        "os.system",
        "generic.__init__",
    ]
    types += ["aws.s3.__class__", "generic.code.__globals__", "../../witness", "aws.ec2.\u0000"]
    flows["types"] = chained([start, *(node(f"n{n}", t) for n, t in enumerate(types))])
    flows["paths"] = chained(
        [
            start,
            node("calls", "flow.call", {"flow": f"../../{witness}"}),
            node(
                "zone", "trigger.cron", {"schedule": "* * * * *", "timezone": f"../../..{witness}"}
            ),
            node("eval", "generic.transform", {"value": "{{ $eval('1') }}"}),
            node("secret", "generic.transform", {"value": "{{ $secret('file') }}"}),
            node("any", "generic.http.request", {"url": "{{ $secret(params.x) }}"}),
        ],
        on_failure=witness,
    )
    flows["patterns"] = chained(
        [start],
        params={
            "type": "object",
            "properties": {
                "a": {"type": "string", "pattern": "^(a+)+$", "default": "a" * 40 + "!"}
            },
        },
    )
    return flows


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "flows").mkdir(parents=True)
    (root / "witness.txt").write_text("secret")
    (root / "cloudflow.yaml").write_text(
        "credentials:\n  sim: {provider: aws, simulated: true, region: us-east-1}\n"
        "secrets:\n  file: {file: witness.txt}\n"
    )
    return root


def watched(root: Path, what: str = "flows") -> Any:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCHED, what],
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def test_the_watch_sees_what_it_is_to_see(project: Path) -> None:
    seen = {event for event, _ in watched(project, "control")["done"]}
    assert {"subprocess.Popen", "write", "read", "exec", "socket.connect"} <= seen


def test_nothing_is_executed_before_a_run(project: Path) -> None:
    with serving(lambda _: Answer(200, "{}")) as web:
        flow = hostile_but_valid(project, web.port)
        (project / "flows" / "hostile.json").write_text(json.dumps(flow))
        broken = broken_on_purpose(project, web.port)
        for name, flow in broken.items():
            (project / "flows" / f"{name}.json").write_text(json.dumps(flow))
        before = sorted(project.rglob("*"))
        seen = watched(project)
        assert web.asked == []
    assert seen["done"] == []
    assert sorted(project.rglob("*")) == before
    errors = {Path(file).stem: codes for file, planned, codes in seen["compiled"] if not planned}
    assert set(errors) == set(broken), errors


def test_a_run_does_what_the_project_allows_and_no_more(project: Path, separate_cloud: str) -> None:
    settings = "settings: {code_nodes: false, private_addresses: false}\n"
    file = project / "cloudflow.yaml"
    file.write_text(file.read_text() + settings)
    with serving(lambda _: Answer(200, "{}")) as web:
        flow = hostile_but_valid(project, web.port)
        del flow["concurrency"]
        (project / "flows" / "hostile.json").write_text(json.dumps(flow))
        done = subprocess.run(
            [sys.executable, "-c", _CLOUDFLOW, "run", "hostile", "--format", "json"],
            cwd=project,
            env={**os.environ, "CLOUDFLOW_SIMULATED_AWS": separate_cloud},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert web.asked == []
    assert done.returncode == 1, done.stderr
    nodes = json.loads(done.stdout)["nodes"]
    came_of_it = {id: (n["error"] or {}).get("code", n["status"]) for id, n in nodes.items()}
    assert came_of_it == {
        "start": "success",
        "code": "CodeNotAllowed",
        "asks": "ForbiddenAddress",
        "meta": "ForbiddenAddress",
        "local": "InvalidUrl",
        "file": "FileNotAllowed",
        "large": "ExpressionError",
        "endless": "ExpressionError",
        "regex": "success",
        "many": "ExpressionError",
        "drops": "InvalidInstanceID.NotFound",
        "calls": "ChildFailed",
    }
    assert not (project / "made").exists()
