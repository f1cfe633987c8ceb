"""How long `cloudflow check` takes for many flows: `python benchmarks/check_flows.py [FLOWS]`.

Writes flows of ten nodes each into a temporary folder, every one with node ids, params and
expressions of its own. `command` is `cloudflow check` as people type it, everything included:
starting Python, imports, loading the models of the AWS services, reading, resolving, checking, in
as many processes as there are cores. The others are what one process takes for each part; planning
is apart, because a check does not plan.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FLOWS = 1000
ROUNDS = 3

_COMMAND = "from cloudflow_dagster.cli import main; main(prog_name='cloudflow')"
_CHECK = """
import resource, sys, time
started = time.perf_counter()
from pathlib import Path
from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.project import find_project
imported = time.perf_counter()
compiled = compile_project(find_project(Path(sys.argv[1])))
checked = time.perf_counter()
plans = sum(c.plan is not None for c in compiled)
planned = time.perf_counter()
usage = resource.getrusage(resource.RUSAGE_SELF)
print(len(compiled), plans, sum(len(c.diagnostics) for c in compiled),
      imported - started, checked - imported, planned - checked,
      usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def flow(number: int) -> dict[str, Any]:
    """Return a flow of ten nodes that no other flow is equal to."""
    n = f"_{number}"
    return {
        "version": 1,
        "name": f"Benchmark {number}",
        "params": {
            "type": "object",
            "properties": {
                "environment": {"type": "string", "default": f"env{number}"},
                "min": {"type": "integer", "minimum": 1, "default": 8},
            },
        },
        "nodes": [
            {"id": f"at{n}", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}},
            {
                "id": f"volumes{n}",
                "type": "aws.ec2.describe_volumes",
                "config": {
                    "Filters": [{"Name": "tag:env", "Values": ["{{ params.environment }}"]}],
                    "paginate": True,
                },
            },
            {
                "id": f"each{n}",
                "type": "logic.loop",
                "config": {
                    "items": f"{{{{ nodes.volumes{n}.Volumes[Size > $params.min] }}}}",
                    "on_item_error": "collect",
                },
            },
            {
                "id": f"snapshot{n}",
                "type": "aws.ec2.create_snapshot",
                "config": {
                    "VolumeId": "{{ item.VolumeId }}",
                    "Description": f"nightly {number} {{{{ run.started_at }}}}",
                },
                "retry": {"max_attempts": 4},
                "timeout": 120,
            },
            {
                "id": f"tag{n}",
                "type": "aws.ec2.create_tags",
                "config": {
                    "Resources": [f"{{{{ nodes.snapshot{n}.SnapshotId }}}}"],
                    "Tags": [{"Key": "size", "Value": "{{ $string(item.Size) }}"}],
                },
            },
            {
                "id": f"failed{n}",
                "type": "logic.if",
                "config": {"condition": f"{{{{ $exists(nodes.each{n}.errors[0]) }}}}"},
            },
            {
                "id": f"report{n}",
                "type": "generic.transform",
                "config": {
                    "value": {
                        "count": f"{{{{ nodes.each{n}.count }}}}",
                        "ids": f"{{{{ nodes.volumes{n}.Volumes.VolumeId }}}}",
                        "text": f"{{{{ $count(nodes.each{n}.errors) }}}} of "
                        f"{{{{ nodes.each{n}.count }}}} failed in {{{{ params.environment }}}}",
                    }
                },
            },
            {
                "id": f"buckets{n}",
                "type": "aws.s3.list_objects_v2",
                "config": {"Bucket": f"reports-{number}", "Prefix": "{{ params.environment }}/"},
            },
            {
                "id": f"write{n}",
                "type": "aws.s3.put_object",
                "config": {
                    "Bucket": f"reports-{number}",
                    "Key": "{{ params.environment }}/report.json",
                    "Body": f"{{{{ $string(nodes.report{n}) }}}}",
                },
            },
            {
                "id": f"result{n}",
                "type": "flow.result",
                "config": {"value": f"{{{{ $sum(nodes.buckets{n}.Contents.Size) }}}}"},
            },
        ],
        "edges": [
            {"source": f"at{n}", "target": f"volumes{n}"},
            {"source": f"volumes{n}", "target": f"each{n}"},
            {"source": f"each{n}", "source_port": "item", "target": f"snapshot{n}"},
            {"source": f"snapshot{n}", "target": f"tag{n}"},
            {"source": f"each{n}", "source_port": "done", "target": f"failed{n}"},
            {"source": f"failed{n}", "source_port": "true", "target": f"report{n}"},
            {"source": f"report{n}", "target": f"buckets{n}"},
            {"source": f"buckets{n}", "target": f"write{n}"},
            {"source": f"write{n}", "target": f"result{n}"},
        ],
    }


def main() -> None:
    """Write the flows, check them a few times, and print a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FLOWS
    with tempfile.TemporaryDirectory() as folder:
        flows = Path(folder) / "flows"
        flows.mkdir()
        for number in range(count):
            text = json.dumps(flow(number), indent=2)
            (flows / f"flow_{number}.json").write_text(text, "utf-8")
        print(f"{count} flows of 10 nodes, a fresh process each time")
        columns = ("command s", "import s", "check s", "plan s", "CPU s", "peak MB")
        print(" ".join(f"{name:>9}" for name in columns), " findings")
        for _ in range(ROUNDS):
            started = time.perf_counter()
            check = [sys.executable, "-c", _COMMAND, "check"]
            subprocess.run(check, check=True, capture_output=True, cwd=folder)
            whole = time.perf_counter() - started
            command = [sys.executable, "-c", _CHECK, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            numbers = [float(number) for number in done.stdout.split()]
            compiled, plans, findings, imported, checked, planned, cpu, memory = numbers
            if compiled != count or plans != count:
                raise SystemExit(f"{plans:.0f} of {count} flows were planned: {done.stdout}")
            row = (whole, imported, checked, planned, cpu, memory)
            print(" ".join(f"{number:9.2f}" for number in row), f" {findings:.0f}")


if __name__ == "__main__":
    main()
