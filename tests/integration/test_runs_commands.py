"""`cloudflow runs` as people type it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from cloudflow_dagster.cli import main
from cloudflow_dagster.engine.run_list import list_runs
from tests.fixtures.programs import MANUAL, CommandLine, Programs, breaks, chain, value

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def here(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.project.root)


def runs(*args: str) -> Result:
    return CliRunner().invoke(main, ["runs", *args], catch_exceptions=False)


def test_a_run_is_listed_shown_and_read(programs: Programs) -> None:
    path = programs.write(chain(MANUAL, value("a", {"n": 1}), breaks("b")), "listed")
    ended = programs.run(path)

    (listed,) = json.loads(runs("list", "--flow", "listed", "--format", "json").stdout)
    assert (listed["run_id"], listed["status"], listed["flow"]) == (ended.id, "failure", "listed")
    text = runs("list", "--flow", "listed").stdout
    assert text.splitlines()[0].split() == ["run", "flow", "status", "started", "by", "at", "took"]
    assert ended.id[:8] in text

    shown = runs("show", ended.id[:13])
    assert shown.exit_code == 0
    assert f"Run {ended.id} of listed: failure" in shown.stdout
    assert '{"n": 1}' in shown.stdout
    assert "broken on purpose" in shown.stdout
    as_json = json.loads(runs("show", ended.id, "--format", "json").stdout)
    assert as_json["nodes"]["a"]["output"] == {"n": 1}
    assert as_json["nodes"]["b"]["status"] == "failure"

    logs = runs("logs", ended.id, "--node", "b")
    assert logs.exit_code == 0
    assert "broken on purpose" in logs.stdout
    assert " a: " not in logs.stdout
    lines = runs("logs", ended.id, "--follow", "--format", "json").stdout.splitlines()
    assert {json.loads(line)["node"] for line in lines} == {None, "start", "a", "b"}


def test_the_list_is_cut_and_says_so(programs: Programs) -> None:
    path = programs.write(chain(MANUAL), "often")
    programs.run(path)
    programs.run(path)
    result = runs("list", "--flow", "often", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert "There are more" in result.stderr
    assert len(json.loads(runs("list", "--limit", "1", "--format", "json").stdout)) == 1


def test_a_list_without_runs_is_no_failure(programs: Programs) -> None:
    programs.write(chain(MANUAL), "never_run")
    result = runs("list", "--flow", "never_run")
    assert (result.exit_code, result.stdout) == (0, "No such run.\n")
    result = runs("list", "--flow", "never_run", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["show", "zz"], "there is no run `zz`"),
        (["logs", "zz"], "there is no run `zz`"),
        (["list", "--flow", "knwon"], "Did you mean `known`?"),
        (["list", "--since", "yesterday"], "`yesterday` is no time"),
        (["list", "--status", "failed"], "'failed' is not one of"),
        (["list", "--limit", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_answered_ends_with_2_and_a_sentence(
    programs: Programs, args: list[str], said: str
) -> None:
    programs.write(chain(MANUAL), "known")
    result = runs(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_node_that_the_run_does_not_have_is_named(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("first", 1)))
    result = runs("logs", ended.id, "--node", "frist")
    assert result.exit_code == 2
    assert "Did you mean `first`?" in result.stderr


def test_characters_that_would_steer_the_terminal_are_not_printed(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("a", "red \x1b[31m")))
    assert "\x1b[31m" not in runs("show", ended.id).output


def test_the_command_ends_well_in_a_project_without_history(
    cloudflow: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    said = cloudflow("runs", "list", cwd=empty)
    assert (said.status, said.out) == (0, "Nothing has run in this project yet.\n")
    said = cloudflow("runs", "show", "abc", cwd=empty)
    assert said.status == 2
    assert "nothing has run in this project yet" in said.err
    assert "Traceback" not in said.err


def test_a_history_that_cannot_be_read_ends_with_2(
    cloudflow: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("damaged")
    assert cloudflow("runs", "list", cwd=root).status == 0
    (root / ".cloudflow/dagster/history/runs.db").write_bytes(b"no database" * 1000)
    said = cloudflow("runs", "list", cwd=root)
    assert said.status == 2
    assert "is damaged" in said.err
    assert "Traceback" not in said.err


def test_runs_of_others_are_seen_too(programs: Programs) -> None:
    path = programs.write(chain(MANUAL), "by_dagster")
    ended = programs.run(path, way="dagster")
    (run,) = list_runs(programs.instance, flow="by_dagster")
    assert (run.run_id, run.started_by) == (ended.id, "launch")
