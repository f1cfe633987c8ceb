"""Reading `cloudflow.yaml`: values, places, and everything that can be wrong with it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudflow_dagster.credentials.spec import AwsSpec
from cloudflow_dagster.diagnostics.model import Diagnostics, FlowError, Rule, Severity
from cloudflow_dagster.project import Project, ProjectError, find_project, rules
from cloudflow_dagster.project.settings import Keep
from cloudflow_dagster.project.source import MAX_BYTES, read_yaml

FIXTURES = Path(__file__).parents[2] / "fixtures" / "project"
ALL_RULES = [r for r in vars(rules).values() if isinstance(r, Rule)]


def project_of(folder: Path, text: str) -> Project:
    (folder / "cloudflow.yaml").write_text(textwrap.dedent(text))
    return find_project(folder)


def problems_of(folder: Path, text: str) -> str:
    """The diagnostics of a project file, one a line, as a person sees them."""
    with pytest.raises(ProjectError) as caught:
        project_of(folder, text)
    return "\n".join(
        f"{d.line}:{d.column} {d.code} {d.message}" + (f" {d.suggestion}" if d.suggestion else "")
        for d in caught.value.diagnostics
    )


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda r: r.code)
def test_every_rule_finds_its_wrong_example_and_nothing_in_its_right_one(
    rule: Rule, tmp_path: Path
) -> None:
    file = tmp_path / "cloudflow.yaml"
    file.write_text(rule.wrong)
    try:
        found = find_project(tmp_path).diagnostics
    except FlowError as error:
        found = error.diagnostics
    assert [(d.code, d.severity) for d in found] == [(rule.code, rule.severity)]
    file.write_text(rule.right)
    assert find_project(tmp_path).diagnostics == ()


def test_rules_have_codes_of_their_own() -> None:
    codes = [r.code for r in ALL_RULES]
    assert len(set(codes)) == len(codes) >= 12


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.yaml")), ids=lambda f: f.stem)
def test_all_problems_are_reported_at_once_in_the_order_of_their_places(
    file: Path, tmp_path: Path
) -> None:
    expected = file.with_suffix(".txt").read_text()
    assert problems_of(tmp_path, file.read_text()) + "\n" == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "1:6 CF6101 This is not YAML"),
        ("a: !!python/object/apply:os.system [echo]", "1:4 CF6101 Tags (`!…`) are not read."),
        ("a: 1\n---\nb: 2", "2:1 CF6101 This is not YAML"),
        ("variables: &a\n  b: *a", "1:1 CF6101 The file stands for more than"),
        ("a: *nowhere", "1:4 CF6101 This is not YAML that can be read: found undefined alias …."),
        ("variables:\n\tx: 1", "2:1 CF6101 This is not YAML"),
        ("variables:\n  <<: {a: 1}", "2:3 CF6101 Merge keys"),
        ("variables:\n  ? [a]\n  : 1", "2:5 CF6101 A key must be text."),
        ("[" * 60, "1:51 CF6101 Values are nested more than 50 deep."),
        ("variables:\n  a: 1\n  a: 2", "3:3 CF6102 The key `a` is there twice. It was first"),
        ("- a", "1:1 CF6105 The project file is a list, not a mapping."),
        ("secrets: x", "1:10 CF6105 `secrets` is text, not a mapping."),
        ("default_credentials: x", "1:22 CF6105 `default_credentials` is not a mapping."),
        ("a: \x00", "1:1 CF6101 This is not YAML that can be read: it holds a character"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(
    text: str, expected: str, tmp_path: Path
) -> None:
    assert problems_of(tmp_path, text).startswith(expected)


def test_aliases_that_multiply_are_refused_quickly(tmp_path: Path) -> None:
    lines = ["variables:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines.extend(f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30))
    assert "more than 20000 values" in problems_of(tmp_path, "\n".join(lines))


def test_a_large_file_and_one_that_is_not_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cloudflow.yaml"
    file.write_text("a: " + "x" * MAX_BYTES)
    with pytest.raises(ProjectError, match="larger than 256 kB"):
        find_project(tmp_path)
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ProjectError, match=r"cloudflow.yaml:2:1: CF6101 The file is not UTF-8"):
        find_project(tmp_path)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="ab:-[]{}&*!<>|'\"#?,. \n\t~%@`0", max_size=200).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["credentials", "secrets", "variables", "provider", "aws", "x"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
        ).map(lambda data: repr(data).replace("None", "null").encode()),
    )
)
def test_no_content_crashes_the_reader(content: bytes) -> None:
    from cloudflow_dagster.project.check import check_project_file

    found = Diagnostics()
    document = read_yaml(content, "cloudflow.yaml", found)
    check_project_file(document.data, "cloudflow.yaml", found)
    assert all(d.line and d.column for d in document.place(found))


def test_plain_values_are_read_without_yamls_surprises(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        """\
        variables:
          country: no
          account: 012345678901
          time: 12:30
          day: 2025-01-02
          number: 12
          share: 0.5
          large: 1.0e3
          huge: 1e999
          yes_really: true
          nothing:
          quoted: "12"
          list: [1, {a: ~}]
          shared: &s {x: 1}
          again: *s
        """,
    )
    assert project.variables == {
        "country": "no",
        "account": "012345678901",
        "time": "12:30",
        "day": "2025-01-02",
        "number": 12,
        "share": 0.5,
        "large": 1000.0,
        "huge": "1e999",
        "yes_really": True,
        "nothing": None,
        "quoted": "12",
        "list": [1, {"a": None}],
        "shared": {"x": 1},
        "again": {"x": 1},
    }


def test_no_as_a_setting_means_false(tmp_path: Path) -> None:
    assert project_of(tmp_path, "settings: {code_nodes: no}").settings.code_nodes is False


def test_a_flow_keeps_its_runs_as_long_as_it_says_or_as_the_others(tmp_path: Path) -> None:
    text = """
        settings:
          retention:
            keep_days: 0.5
            flows:
              audit: {keep_days: null}
              heartbeat: {keep_runs: 10}
        """
    retention = project_of(tmp_path, text).settings.retention
    assert retention.of("other") == Keep(days=0.5, runs=1_000)
    assert retention.of("audit") == Keep(days=None, runs=1_000)
    assert retention.of("heartbeat") == Keep(days=0.5, runs=10)


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ("{keep_dys: 3}", "`retention` has no field `keep_dys`. Did you mean `keep_days`?"),
        ("{flows: {a: {keep_run: 1}}}", "`a` has no field `keep_run`. Did you mean `keep_runs`?"),
        ("{keep_days: 0}", "`keep_days`: input should be greater than 0"),
        ("{keep_days: .inf}", "`keep_days`"),
        ("{keep_runs: 0}", "`keep_runs`: input should be greater than or equal to 1"),
        ("{keep_runs: 1.5}", "`keep_runs`"),
        ("[]", "`retention`"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(
    tmp_path: Path, retention: str, said: str
) -> None:
    assert said in problems_of(tmp_path, f"settings: {{retention: {retention}}}\n")


CANARY = "wJalrXUtnFEMIK7MDENG-canary"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"credentials:\n  a: {{provider: aws, access_key_id: {CANARY}}}", "2:37"),
        (f"credentials:\n  a:\n    provider: azure\n    client_secret: {CANARY}", "4:20"),
        (f"credentials:\n  a:\n    provider: gcp\n    service_account_json: '{CANARY}'", "4:27"),
        (f"credentials:\n  a: {{provider: aws, endpoint: 'https://u:{CANARY}@h'}}", "2:32"),
        (f"secrets:\n  hook: {CANARY}", "2:9"),
        (f"variables:\n  url: https://u:{CANARY}@example.com/", "2:8"),
        (f"variables:\n  deep: [{{x: xoxb-{CANARY}}}]", "2:14"),
        (f"variables:\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    {CANARY}\n", "2:8"),
        ("variables:\n  key: AKIAIOSFODNN7EXAMPLE", "2:8"),
    ],
)
def test_a_literal_secret_is_an_error_that_does_not_repeat_it(
    text: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "cloudflow.yaml").write_text(text)
    with pytest.raises(ProjectError) as caught:
        find_project(tmp_path)
    found = caught.value.diagnostics
    assert f"{place} CF6106" in [f"{d.line}:{d.column} {d.code}" for d in found]
    assert all(d.suggestion for d in found if d.code == "CF6106")
    [shown] = caught.value.sources.values()
    assert shown.count("\n") == text.count("\n")
    for secret in (CANARY, "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in shown
        assert secret not in str(caught.value)
        assert secret not in repr(found)


@pytest.mark.parametrize(
    "value", [f"*{CANARY}", f"!{CANARY}", f"&{CANARY} x\n  b: &{CANARY} y", f"a: {CANARY}: b"]
)
def test_a_secret_that_breaks_the_yaml_is_not_repeated(value: str, tmp_path: Path) -> None:
    (tmp_path / "cloudflow.yaml").write_text(f"secrets:\n  hook: {value}\n")
    with pytest.raises(ProjectError) as caught:
        find_project(tmp_path)
    assert CANARY not in repr((caught.value.diagnostics, str(caught.value)))
    assert list(caught.value.sources.values()) == [""]


def test_a_variable_named_like_a_secret_is_a_warning(tmp_path: Path) -> None:
    project = project_of(tmp_path, "variables: {db_password: x, passport: y, token_url: z}")
    [warning] = project.diagnostics
    assert warning.severity is Severity.WARNING
    assert "`db_password`" in warning.message
    assert project.variables["db_password"] == "x"
    assert list(project.sources.values()) == [
        "variables: {db_password: *, passport: y, token_url: z}"
    ]


def test_a_secret_that_its_own_credential_needs_may_come_by_another_credential(
    tmp_path: Path,
) -> None:
    text = (FIXTURES / "cycle.yaml").read_text()
    fixed = text.replace("credentials:\n", "credentials:\n  b: {provider: aws, default: true}\n")
    assert project_of(tmp_path, fixed).credentials.default("aws") == "b"


def test_many_ways_between_credentials_and_secrets_are_checked_quickly(tmp_path: Path) -> None:
    lines = ["credentials:"]
    for i in range(200):
        keys = ", ".join(
            f"{field}: {{secret: s{i}{n}}}"
            for n, field in enumerate(("access_key_id", "secret_access_key", "session_token"))
        )
        lines.append(f"  c{i}: {{provider: aws, {keys}}}")
    lines += ["  c200: {provider: aws, default: true}", "secrets:"]
    for i in range(200):
        lines += [f"  s{i}{n}: {{aws_secret: x, credential: c{i + 1}}}" for n in range(3)]
    assert len(project_of(tmp_path, "\n".join(lines)).credentials.names()) == 201


class TestFindProject:
    def test_takes_the_nearest_folder_above(self, tmp_path: Path) -> None:
        (tmp_path / "cloudflow.yaml").write_text("variables: {where: outer}")
        inner = tmp_path / "inner"
        (inner / "flows").mkdir(parents=True)
        flow = inner / "flows" / "a.json"
        flow.write_text("{}")
        assert find_project(flow).variables == {"where": "outer"}
        (inner / "cloudflow.yaml").write_text("variables: {where: inner}")
        project = find_project(flow)
        assert project.variables == {"where": "inner"}
        assert project.root == inner
        assert project.file == inner / "cloudflow.yaml"
        assert project.flows == inner / "flows"
        assert project.state == inner / ".cloudflow"

    def test_without_a_file_touches_nothing_real(self, tmp_path: Path) -> None:
        project = find_project(tmp_path)
        assert project.file is None
        assert project.root == tmp_path
        assert project.simulated
        assert [(c.name, c.simulated, c.default) for c in project.credentials.describe()] == [
            ("sim", True, True)
        ]

    def test_names_the_file_relative_to_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "sub"
        folder.mkdir()
        (folder / "cloudflow.yaml").write_text("x: 1")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ProjectError, match=r"^sub/cloudflow.yaml:1:1: CF6103"):
            find_project(folder)

    def test_says_that_a_file_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "cloudflow.yaml").mkdir()
        assert find_project(tmp_path).file is None

    def test_an_empty_file_is_a_project_without_credentials(self, tmp_path: Path) -> None:
        project = project_of(tmp_path, "# nothing yet\n")
        assert project.file is not None
        assert project.credentials.names() == []
        assert not project.simulated


def test_defaults_are_named_or_marked_or_the_only_one(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        """\
        credentials:
          a: {provider: aws, profile: a}
          b: {provider: aws, profile: b}
          c: {provider: gcp}
          d: {provider: azure}
          e: {provider: azure, default: true}
        default_credentials: {aws: b}
        """,
    )
    defaults = {p: project.credentials.default(p) for p in ("aws", "gcp", "azure", "other")}
    assert defaults == {"aws": "b", "gcp": "c", "azure": "e", "other": None}
    undecided = project_of(
        tmp_path, "credentials:\n  a: {provider: aws}\n  b: {provider: aws, profile: b}\n"
    )
    assert undecided.credentials.default("aws") is None


def test_the_checked_in_project_file_is_the_simulated_cloud() -> None:
    project = find_project(Path(__file__).parents[3] / "flows")
    assert project.diagnostics == ()
    assert project.credentials.default("aws") == "sim"
    assert all(c.simulated for c in project.credentials.describe())
    spec = project.credentials.spec("sim")
    assert isinstance(spec, AwsSpec)
    assert spec.region == "us-east-1"


def test_the_reference_documentation_is_what_the_models_say() -> None:
    from cloudflow_dagster.project.reference import project_file_reference

    page = Path(__file__).parents[3] / "docs" / "project-file.md"
    assert page.read_text() == project_file_reference()


def test_the_example_in_the_reference_documentation_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "project-file.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    assert project_of(tmp_path, example).credentials.names() == ["audit", "prod"]
