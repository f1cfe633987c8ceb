"""Starting, finding and stopping simulated clouds."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cloudflow_dagster.simulator import (
    ENVIRONMENT_VARIABLE,
    discover,
    simulated_aws,
    start_simulated_aws,
)
from cloudflow_dagster.simulator.discover import answers
from cloudflow_dagster.simulator.session import EstateAccount

pytestmark = pytest.mark.integration
COMMAND = [sys.executable, "-m", "cloudflow_dagster.simulator", "--empty"]


@dataclass
class Folder:
    """A project, as far as the simulator knows it."""

    state: Path


@pytest.fixture(autouse=True)
def _no_other_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


def status(endpoint: str, path: str, **headers: str) -> int:
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def test_one_starts_and_stops_in_this_process() -> None:
    cloud = start_simulated_aws(seeded=False)
    assert cloud.endpoint.startswith("http://127.0.0.1:")
    assert answers(cloud.endpoint)
    cloud.stop()
    cloud.stop()
    assert not answers(cloud.endpoint)


def test_its_state_ends_with_it() -> None:
    def buckets(endpoint: str) -> list[str]:
        account = EstateAccount(endpoint)
        s3 = account.client("s3")
        found = [b["Name"] for b in s3.list_buckets()["Buckets"]]
        s3.create_bucket(Bucket=f"left-over-{len(found)}")
        account.close()
        return found

    with start_simulated_aws(seeded=False) as one:
        before = len(buckets(one.endpoint))
        with start_simulated_aws(seeded=False) as other:
            assert len(buckets(other.endpoint)) == before + 1
        assert len(buckets(one.endpoint)) == before + 2
    with start_simulated_aws(seeded=False) as later:
        assert buckets(later.endpoint) == []


def test_a_taken_port_is_an_error_and_not_the_end_of_the_process() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            start_simulated_aws(port, seeded=False)
        run = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False
        )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("The simulated cloud did not start: ")
    assert "Traceback" not in run.stderr


def test_web_pages_cannot_ask_it() -> None:
    with start_simulated_aws(seeded=False) as cloud:
        own = cloud.endpoint.removeprefix("http://")
        path = "/_cloudflow/ready"
        assert status(cloud.endpoint, path) == 200
        assert status(cloud.endpoint, path, Origin=cloud.endpoint) == 200
        assert status(cloud.endpoint, path, Origin="https://evil.example.com") == 403
        assert status(cloud.endpoint, path, Origin="null") == 403
        assert status(cloud.endpoint, path, Host="evil.example.com") == 403
        assert status(cloud.endpoint, path, Host=own.replace("127.0.0.1", "localhost")) == 200
        assert status(cloud.endpoint, "/moto-api/", Host="evil.example.com") == 403


def test_a_process_of_its_own_is_found_and_stops_on_a_plain_kill(tmp_path: Path) -> None:
    state = tmp_path / ".cloudflow"
    assert discover(state) is None
    with subprocess.Popen(
        [*COMMAND, "--state", str(state)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["pid"] == process.pid
        assert discover(state) == told["simulated_aws"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert discover(state) is None
    assert list(state.iterdir()) == []


def test_with_parent_it_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\nsubprocess.Popen(sys.argv[1:])\ntime.sleep(60)",
            *COMMAND,
            "--with-parent",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        told = json.loads(parent.stdout.readline())
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 20
        while answers(told["simulated_aws"]) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not answers(told["simulated_aws"])


class TestDiscover:
    def write(self, state: Path, content: str) -> None:
        state.mkdir(exist_ok=True)
        (state / "dev.json").write_text(content)

    def test_takes_the_running_one_of_cloudflow_dev(self, tmp_path: Path) -> None:
        with start_simulated_aws(seeded=False) as cloud:
            facts = {"pid": os.getpid(), "simulated_aws": cloud.endpoint, "web": "http://x"}
            self.write(tmp_path / "s", json.dumps(facts))
            assert discover(tmp_path / "s") == cloud.endpoint
            with simulated_aws(Folder(tmp_path / "s")) as endpoint:
                assert endpoint == cloud.endpoint
            assert answers(cloud.endpoint)
            dead = subprocess.Popen([sys.executable, "-c", ""])
            dead.wait()
            self.write(tmp_path / "s", json.dumps({**facts, "pid": dead.pid}))
            assert discover(tmp_path / "s") is None
        self.write(tmp_path / "s", json.dumps(facts))
        assert discover(tmp_path / "s") is None

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "{",
            "{}",
            '{"pid": 0, "simulated_aws": "http://127.0.0.1:1"}',
            '{"pid": "x", "simulated_aws": "http://127.0.0.1:1"}',
            '{"pid": MINE, "simulated_aws": "nonsense"}',
            '{"pid": MINE, "simulated_aws": "http://127.0.0.1:99999"}',
            '{"pid": MINE, "simulated_aws": "http://127.0.0.1.example.com:80"}',
            f'{{"pid": {10**30}, "simulated_aws": "http://127.0.0.1:1"}}',
            '"\\ud800"',
        ],
    )
    def test_a_broken_file_is_none(self, content: str, tmp_path: Path) -> None:
        self.write(tmp_path / "s", content.replace("MINE", str(os.getpid())))
        assert discover(tmp_path / "s") is None

    def test_another_server_on_the_port_is_none(self, tmp_path: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
        ) as other:
            assert other.stdout is not None
            port = other.stdout.readline().split("port ")[1].split()[0]
            facts = {"pid": other.pid, "simulated_aws": f"http://127.0.0.1:{port}"}
            self.write(tmp_path / "s", json.dumps(facts))
            assert discover(tmp_path / "s") is None
            other.kill()

    def test_the_environment_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, "http://127.0.0.1:4711")
        assert discover(tmp_path) == "http://127.0.0.1:4711"


def test_simulated_aws_starts_one_for_itself_and_stops_it(tmp_path: Path) -> None:
    with simulated_aws(Folder(tmp_path / "none")) as endpoint:
        assert os.environ[ENVIRONMENT_VARIABLE] == endpoint
        account = EstateAccount(endpoint)
        assert len(account.client("s3").list_buckets()["Buckets"]) >= 3
        account.close()
    assert ENVIRONMENT_VARIABLE not in os.environ
    assert not answers(endpoint)


def test_motos_start_is_hastened() -> None:
    code = (
        "from cloudflow_dagster.simulator import start_simulated_aws\n"
        "with start_simulated_aws(seeded=False):\n"
        "    import botocore.session, moto.core.utils as utils, moto.ec2.models.amis as amis\n"
        "    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS as offered\n"
        "    session = botocore.session.get_session()\n"
        "    one = session.get_component('data_loader') is utils.create_loader()\n"
        "    kept = [o for all in offered.values() for o in all.values() if type(o) is list]\n"
        "    print(int(one), len(amis.AMIS), len(kept))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, images, kept = map(int, run.stdout.split())
    assert one == 1
    assert images < 10
    assert kept == 0


def test_types_of_machines_are_told_though_they_are_not_kept() -> None:
    with start_simulated_aws(seeded=False) as cloud:
        account = EstateAccount(cloud.endpoint)
        ec2 = account.client("ec2")
        asked = [{"Name": "instance-type", "Values": ["t3.micro"]}]
        for kind, place in (("region", "us-east-1"), ("availability-zone", "us-east-1a")):
            told = ec2.describe_instance_type_offerings(LocationType=kind, Filters=asked)
            of_t3 = {"InstanceType": "t3.micro", "LocationType": kind, "Location": place}
            assert of_t3 in told["InstanceTypeOfferings"]
        account.close()


def test_without_moto_it_names_the_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['moto'] = None\n"
        "from cloudflow_dagster.simulator import start_simulated_aws, SimulatorMissingError\n"
        "try:\n"
        "    start_simulated_aws()\n"
        "except SimulatorMissingError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'cloudflow-dagster[simulator]'" in run.stdout


def test_each_answer_has_a_request_id_of_its_own() -> None:
    with start_simulated_aws(seeded=False) as cloud:
        account = EstateAccount(cloud.endpoint)
        try:
            ids = [
                getattr(account.client(service), operation)()["ResponseMetadata"]["RequestId"]
                for service, operation in (
                    ("ec2", "describe_volumes"),
                    ("ec2", "describe_volumes"),
                    ("sqs", "list_queues"),
                    ("sns", "list_topics"),
                )
            ]
        finally:
            account.close()
    assert len(set(ids)) == len(ids)
    assert all(len(id) > 30 for id in ids)


def test_the_tasks_of_a_new_service_run() -> None:
    with start_simulated_aws(seeded=False) as cloud:
        ecs = EstateAccount(cloud.endpoint).client("ecs")
        ecs.create_cluster(clusterName="c")
        container = {"name": "web", "image": "nginx", "memory": 128}
        ecs.register_task_definition(family="web", containerDefinitions=[container])
        asked = {"cluster": "c", "serviceName": "s", "taskDefinition": "web"}
        made = ecs.create_service(**asked, desiredCount=2)["service"]
        assert (made["serviceName"], made["desiredCount"]) == ("s", 2)
        (found,) = ecs.describe_services(cluster="c", services=["s"])["services"]
        assert found["runningCount"] == 2
        with pytest.raises(ecs.exceptions.ClientException):
            ecs.create_service(**{**asked, "cluster": "c", "taskDefinition": "absent"})


def test_a_cache_that_was_deleted_is_gone() -> None:
    with start_simulated_aws(seeded=False) as cloud:
        caches = EstateAccount(cloud.endpoint).client("elasticache")
        which = {"ReplicationGroupId": "c"}
        caches.create_replication_group(**which, ReplicationGroupDescription="c")
        assert len(caches.describe_replication_groups()["ReplicationGroups"]) == 1
        deleted = caches.delete_replication_group(**which)["ReplicationGroup"]
        assert deleted["Status"] == "deleting"
        with pytest.raises(caches.exceptions.ReplicationGroupNotFoundFault):
            caches.describe_replication_groups(**which)


def test_what_a_bucket_refuses_under_a_condition_is_not_refused_always() -> None:
    plain = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    tls = {**plain, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    with start_simulated_aws(seeded=False) as cloud:
        client = EstateAccount(cloud.endpoint).client("s3")
        client.create_bucket(Bucket="tls-only")
        client.put_object(Bucket="tls-only", Key="note", Body=b"hello")
        for statement in ([tls], tls):
            policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
            client.put_bucket_policy(Bucket="tls-only", Policy=policy)
            assert client.get_object(Bucket="tls-only", Key="note")["Body"].read() == b"hello"
            assert client.get_bucket_policy(Bucket="tls-only")["Policy"] == policy
        policy = json.dumps({"Version": "2012-10-17", "Statement": [tls, plain]})
        client.put_bucket_policy(Bucket="tls-only", Policy=policy)
        with pytest.raises(client.exceptions.ClientError, match="GetObject"):
            client.get_object(Bucket="tls-only", Key="note")
