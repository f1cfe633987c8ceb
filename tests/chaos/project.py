"""The project that is killed: its settings, its flows and a node type of its own.

A *line* is one run and all runs that go on with it. Whatever a line makes bears its name, so that
several lines can share one cloud and each be compared with the undisturbed one.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from cloudflow_dagster.simulator.estate import IMAGE
from tests.fixtures.programs import MANUAL, Node, call, edge, get, if_, loop, params, result, wait

FLOW = "chaos"
CHILD = "chaos_child"
_LINE = "{{ params.line }}"
_SETTINGS = """\
credentials:
  cloud: {provider: aws, simulated: true, region: us-east-1}
default_credentials: {aws: cloud}
"""
_NODES = '''\
"""A node type of a package beside CloudFlow, for an API without tokens that can be searched."""

import json
import urllib.parse
import urllib.request
from datetime import datetime
from typing import Any

from cloudflow_dagster import action
from cloudflow_dagster.nodes.spec import Found, Repeat


def _ask(request: Any) -> Any:
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _find(call: Any, config: dict[str, Any], began: datetime) -> Found | None:
    query = urllib.parse.urlencode({"line": config["line"], "title": config["title"]})
    found = _ask(config["desk"] + "?" + query)
    return Found({"number": found[0]}) if found else None


@action("chaos.ticket", label="Ticket", icon="ticket", category="desk",
        repeat=Repeat.LOOKUP, look_up=_find)
def ticket(call: Any, *, desk: str, line: str, title: str) -> dict[str, int]:
    """Opens a ticket."""
    body = json.dumps({"line": line, "title": title}).encode()
    return {"number": _ask(urllib.request.Request(desk, body))}
'''


def write(root: Path, desk: str) -> None:
    """Write the project.

    Args:
        root: Its folder.
        desk: Address of the desk (`desk.py`).
    """
    flows = root / "flows"
    flows.mkdir(parents=True)
    (root / "cloudflow.yaml").write_text(_SETTINGS)
    (flows / f"{FLOW}.json").write_text(json.dumps(_flow(desk), indent=1))
    (flows / f"{CHILD}.json").write_text(json.dumps(_child(), indent=1))
    package = root / "packages" / "chaos_nodes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from cloudflow_dagster.nodes.declared import DeclaredNodes\n"
        'nodes = DeclaredNodes("chaos_nodes")\n'
    )
    (package / "chaos.py").write_text(_NODES)
    about = root / "packages" / "chaos_nodes-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-nodes\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[cloudflow.node_sources]\nchaos = chaos_nodes:nodes\n")


def _aws(id: str, operation: str, **config: Any) -> Node:
    return {"id": id, "type": f"aws.{operation}", "config": config}


def _volume(id: str, name: str, size: Any = 1) -> Node:
    """Return a create with a token, whose config is another one each time it is evaluated."""
    tags = [{"Key": "line", "Value": _LINE}, {"Key": "name", "Value": name}]
    tags += [{"Key": "at", "Value": "{{ $string($millis()) }}"}]
    return _aws(
        id,
        "ec2.create_volume",
        AvailabilityZone="us-east-1a",
        Size=size,
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )


def _object(id: str, key: str, body: str = "x") -> Node:
    return _aws(id, "s3.put_object", Bucket=_LINE, Key=key, Body=body)


def _letter(id: str, text: str, url: str = "{{ nodes.queue.QueueUrl }}") -> Node:
    """Return an effect that nobody can repeat safely: a person is asked."""
    return _aws(id, "sqs.send_message", QueueUrl=url, MessageBody=text)


def _edges(*lines: str) -> list[dict[str, Any]]:
    """Return the edges of chains written as `a > b > c`."""
    ends = [line.split(" > ") for line in lines]
    return [edge(f"{a} > {b}") for parts in ends for a, b in pairwise(parts)]


def _flow(desk: str) -> dict[str, Any]:
    """Return a flow with each kind of create, loops, branches, waits and a child run."""
    server = {"ResourceType": "instance", "Tags": [{"Key": "line", "Value": _LINE}]}
    pay = {"method": "POST", "json": {"line": _LINE}, "idempotency_header": "Idempotency-Key"}
    nodes: list[Node] = [
        MANUAL,
        _aws("queue", "sqs.create_queue", QueueName=_LINE),
        _aws("bucket", "s3.create_bucket", Bucket=_LINE),
        _aws(
            "server",
            "ec2.run_instances",
            ImageId=IMAGE,
            InstanceType="t3.micro",
            MinCount=2,
            MaxCount=2,
            TagSpecifications=[server],
        ),
        {
            "id": "ticket",
            "type": "chaos.ticket",
            "config": {"desk": f"{desk}/tickets", "line": _LINE, "title": "new"},
        },
        get(
            "pay",
            f"{desk}/payments",
            pay,
            until={"condition": "{{ output.body.count >= 3 }}", "interval": 0.2, "timeout": 600},
        ),
        get(
            "flaky",
            f"{desk}/flaky",
            pay,
            retry={"max_attempts": 20, "delay": 0.2, "backoff": "constant", "jitter": "none"},
        ),
        _letter("letter", "alone"),
        loop("each", "{{ [0..7] }}", concurrency=3),
        _volume("disk", "each {{ index }}", "{{ index + 1 }}"),
        if_("odd", "{{ index % 2 = 1 }}"),
        _object("note", "each/{{ index }}"),
        _letter("post", "item {{ index }}"),
        loop("batches", "{{ [0..6] }}", concurrency=2, batch_size=3),
        _aws("topic", "sns.create_topic", Name="{{ params.line }}-{{ index }}"),
        loop("inner", "{{ item }}", concurrency=2),
        _volume("small", "batch {{ loops.batches.index }} {{ index }}"),
        call("child", CHILD, params={"line": _LINE, "queue": "{{ nodes.queue.QueueUrl }}"}),
        {
            "id": "which",
            "type": "logic.switch",
            "config": {
                "cases": [
                    {"name": "many", "when": "{{ nodes.batches.count > 2 }}"},
                    {"name": "few", "when": "{{ nodes.batches.count <= 2 }}"},
                ]
            },
        },
        _object("many", "many"),
        _object("few", "few"),
        wait("pause", seconds=1),
        wait("asked", approval={"message": "Go on?"}),
        if_("approved", "{{ nodes.asked.approved }}"),
        _volume("last", "last"),
        _object("joined", "joined"),
        result(
            {
                "disks": "{{ $count(nodes.each.results) }}",
                "batches": "{{ nodes.batches.count }}",
                "child": "{{ nodes.child }}",
                "paid": "{{ nodes.pay.body.count }}",
                "disk": "{{ $exists(nodes.last.VolumeId) }}",
            }
        ),
    ]
    edges = _edges(
        "start > queue > letter > joined",
        "queue > each",
        "start > bucket > each",
        "start > server > pause > asked > approved",
        "approved.true > last > joined",
        "start > ticket > flaky > joined",
        "start > pay > joined",
        "each.item > disk > odd",
        "odd.true > note",
        "odd.false > post",
        "each.done > joined",
        "bucket > batches",
        "batches.item > topic > inner",
        "inner.item > small",
        "batches.done > which",
        "which.many > many > joined",
        "which.few > few > joined",
        "queue > child > joined > end",
    )
    return {
        "version": 1,
        "params": {**params(line={"type": "string"}), "required": ["line"]},
        "resumes": 100,
        "nodes": nodes,
        "edges": edges,
    }


def _child() -> dict[str, Any]:
    nodes: list[Node] = [
        MANUAL,
        _volume("first", "child"),
        _letter("report", "child", "{{ params.queue }}"),
        wait("moment", seconds=0.5),
        loop("each", "{{ [0..3] }}", concurrency=2),
        _volume("disk", "child {{ index }}"),
        result("{{ $count(nodes.each.results) }}"),
    ]
    edges = _edges("start > first > report > moment > each", "each.item > disk", "each.done > end")
    text = {"type": "string"}
    return {
        "version": 1,
        "params": {**params(line=text, queue=text), "required": ["line", "queue"]},
        "nodes": nodes,
        "edges": edges,
    }
