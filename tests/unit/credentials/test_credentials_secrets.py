"""Secrets from environment variables and files, and how all of them are told and kept."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cloudflow_dagster.credentials import SecretError, Secrets, SecretValues
from cloudflow_dagster.credentials.sources import MAX_FILE_BYTES
from cloudflow_dagster.credentials.spec import EnvSecret, FileSecret, SecretSpec
from cloudflow_dagster.nodes.errors import NodeError


def no_login(name: str | None, provider: str, region: str | None) -> object:
    raise AssertionError("nothing to log in to")


def secrets_of(folder: Path, **specs: SecretSpec) -> Secrets:
    return Secrets(specs, root=folder, login=no_login)


def error_of(secrets: Secrets, name: str) -> SecretError:
    with pytest.raises(SecretError) as caught:
        secrets.get(name)
    assert caught.value.way_out
    return caught.value


def test_reads_an_environment_variable_when_asked_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = secrets_of(tmp_path, hook=EnvSecret(env="SLACK_HOOK"))
    monkeypatch.setenv("SLACK_HOOK", "https://hook")
    assert secrets.get("hook") == "https://hook"


def test_a_missing_variable_names_itself_and_a_close_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUDFLOW_TEST_HOOK", raising=False)
    monkeypatch.setenv("CLOUDFLOW_TEST_HOOKS", "value-never-shown")
    monkeypatch.setenv("CLOUDFLOW_EMPTY", "")
    secrets = secrets_of(
        tmp_path, hook=EnvSecret(env="CLOUDFLOW_TEST_HOOK"), empty=EnvSecret(env="CLOUDFLOW_EMPTY")
    )
    error = error_of(secrets, "hook")
    assert isinstance(error, NodeError)
    assert error.code == "NoSuchVariable"
    assert "`CLOUDFLOW_TEST_HOOK` is not set" in error.message
    assert "Did you mean `CLOUDFLOW_TEST_HOOKS`?" in error.message
    assert "value-never-shown" not in error.message
    assert "is set, but empty" in error_of(secrets, "empty").message


def test_an_unknown_secret_suggests_one(tmp_path: Path) -> None:
    error = error_of(secrets_of(tmp_path, slack_hook=EnvSecret(env="X")), "slack_hok")
    assert error.code == "NoSuchSecret"
    assert error.way_out == "Did you mean `slack_hook`?"
    assert "`secrets` in `cloudflow.yaml`" in error_of(secrets_of(tmp_path), "other").way_out


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b" abc ", " abc "),
        ("päss".encode(), "päss"),
    ],
)
def test_a_file_is_read_relative_to_the_project_without_its_last_newline(
    content: bytes, value: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a").write_bytes(content)
    assert secrets_of(tmp_path, a=FileSecret(file="keys/a")).get("a") == value
    absolute = FileSecret(file=str(tmp_path / "keys" / "a"))
    assert secrets_of(Path("/nowhere"), a=absolute).get("a") == value


def test_what_is_no_file_with_a_secret_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe canary")
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ("large", "binary", "empty", "folder", "pipe", "missing", "a\0b", "x" * 500)
    codes = {
        name: error_of(secrets_of(tmp_path, a=FileSecret(file=name)), "a").code for name in names
    }
    assert codes == {
        "large": "TooLarge",
        "binary": "NotText",
        "empty": "EmptySecret",
        "folder": "UnreadableFile",
        "pipe": "UnreadableFile",
        "missing": "NoSuchFile",
        "a\0b": "UnreadableFile",
        "x" * 500: "UnreadableFile",
    }


def test_a_member_of_a_json_object(tmp_path: Path) -> None:
    (tmp_path / "login.json").write_text('{"user": "ana", "port": 5432, "empty": ""}')
    (tmp_path / "text").write_text("canary-text")

    def secret(file: str, key: str) -> Secrets:
        return secrets_of(tmp_path, a=FileSecret(file=file, json_key=key))

    assert secret("login.json", "user").get("a") == "ana"
    assert secret("login.json", "port").get("a") == "5432"
    error = error_of(secret("login.json", "usr"), "a")
    assert (error.code, error.way_out) == ("NoSuchMember", "Did you mean `user`?")
    assert "`empty`, `port`, `user`" in error_of(secret("login.json", "zzz"), "a").way_out
    error = error_of(secret("text", "user"), "a")
    assert error.code == "NotJson"
    assert "canary" not in error.message
    assert error_of(secret("login.json", "empty"), "a").code == "EmptySecret"


def test_every_value_is_told_before_it_is_returned(tmp_path: Path) -> None:
    (tmp_path / "login.json").write_text('{"password": "p-1"}')
    seen: list[str] = []
    secrets = Secrets(
        {"a": FileSecret(file="login.json", json_key="password")},
        root=tmp_path,
        login=no_login,
        on_value=seen.append,
    )
    secrets.get("a")
    assert seen == ['{"password": "p-1"}', "p-1"]


def test_a_value_is_kept_for_a_run_and_fetched_anew_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = secrets_of(tmp_path, a=EnvSecret(env="ROTATING"))
    monkeypatch.setenv("ROTATING", "one")
    seen: list[str] = []
    first = project.for_run(seen.append)
    assert first.get("a") == "one"
    monkeypatch.setenv("ROTATING", "two")
    assert first.get("a") == "one"
    assert project.for_run().get("a") == "two"
    assert seen == ["one", "two"]
    assert project.names() == first.names() == ["a"]


def test_branches_that_need_the_same_secret_fetch_it_once(tmp_path: Path) -> None:
    reads: list[str] = []

    class Login:
        def client(self, service: str) -> Login:
            return self

        def get_parameter(self, **request: object) -> dict[str, dict[str, str]]:
            reads.append(threading.current_thread().name)
            return {"Parameter": {"Value": "v"}}

    from cloudflow_dagster.credentials.spec import SsmSecret

    secrets = Secrets({"a": SsmSecret(ssm_parameter="/a")}, root=tmp_path, login=lambda *_: Login())
    threads = [threading.Thread(target=secrets.get, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


def test_whatever_goes_wrong_in_the_store_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    def login(*_: object) -> None:
        error = RuntimeError("Rate exceeded")
        error.response = {"Error": {"Code": "ThrottlingException"}}  # type: ignore[attr-defined] - as botocore's errors have it
        raise error

    from cloudflow_dagster.credentials.spec import AwsSecret

    secrets = Secrets({"a": AwsSecret(aws_secret="x")}, root=tmp_path, login=login)
    with pytest.raises(SecretError, match=r"`a` .*Rate exceeded.*Try again") as caught:
        secrets.get("a")
    assert caught.value.code == "ThrottlingException"
    assert caught.value.transient


class TestSecretValues:
    def test_a_late_listener_is_told_what_was_before(self) -> None:
        values = SecretValues()
        values.add("a")
        values.add("")
        values.add(None)
        seen: list[str] = []
        values.listen(seen.append)
        values.add("b")
        values.add("a")
        assert seen == ["a", "b"]

    def test_a_listener_can_leave(self) -> None:
        values = SecretValues()
        seen: list[str] = []
        leave = values.listen(seen.append)
        leave()
        leave()
        values.add("a")
        assert seen == []
