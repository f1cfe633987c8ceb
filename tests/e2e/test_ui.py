"""What a person sees in Dagster's web UI."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("screenshot")]

EXAMPLES = sorted(p.stem for p in (Path(__file__).parents[2] / "flows").glob("*.json"))


def test_there_are_six_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("flow", EXAMPLES)
def test_an_example_flow_launched_in_the_launchpad_succeeds(
    served: Served, page: Any, flow: str
) -> None:
    assert _launch(served, page, flow) == "RUN_SUCCESS"


def test_a_flow_launched_in_the_ui_really_snapshots_the_volumes(served: Served, page: Any) -> None:
    before = _snapshots(served)
    assert _launch(served, page, "nightly_backup") == "RUN_SUCCESS"
    assert _snapshots(served) > before


def test_a_flow_dropped_into_flows_is_seen_without_a_reload(served: Served, page: Any) -> None:
    page.goto(f"{served.web}/jobs")
    page.get_by_text("nightly_backup").first.wait_for()
    shutil.copy(served.root / "templates/first_flow.json", served.root / "flows/mine.json")
    page.get_by_text("mine", exact=True).first.wait_for()
    (served.root / "flows/mine.json").unlink()
    page.get_by_text("mine", exact=True).first.wait_for(state="detached")


def test_a_broken_flow_shows_what_is_wrong_and_takes_nothing_down(
    served: Served, page: Any
) -> None:
    flow = json.loads((served.root / "templates/first_flow.json").read_text())
    flow["nodes"][1]["type"] = "aws.ec2.describe_volume"
    broken = served.root / "flows/broken.json"
    broken.write_text(json.dumps(flow))
    page.goto(f"{served.web}/jobs")
    page.get_by_text("broken", exact=True).first.wait_for()
    page.goto(f"{served.web}/locations/cloudflow/jobs/broken")
    page.get_by_text("aws.ec2.describe_volumes").first.wait_for()
    page.goto(f"{served.web}/jobs")
    page.get_by_text("nightly_backup").first.wait_for()
    broken.unlink()


def test_a_param_that_breaks_its_schema_is_refused_in_one_sentence(
    served: Served, page: Any
) -> None:
    flow = json.loads((served.root / "templates/first_flow.json").read_text())
    flow["params"]["properties"]["n"] = {"type": "integer", "minimum": 3, "default": 3}
    strict = served.root / "flows/strict.json"
    strict.write_text(json.dumps(flow))
    page.goto(f"{served.web}/jobs")
    page.get_by_text("strict", exact=True).first.wait_for()
    config = quote("params:\n  n: 1\n")
    page.goto(f"{served.web}/locations/cloudflow/jobs/strict/playground/setup?config={config}")
    page.get_by_role("button", name="Launch Run").click()
    page.get_by_text("params.n: 1 is less than the minimum of 3").first.wait_for()
    assert "Traceback" not in page.inner_text("body")
    assert "site-packages" not in page.inner_text("body")
    strict.unlink()


def _launch(served: Served, page: Any, flow: str) -> str:
    """Launch a flow with the params that the Launchpad offers, and say how the run ended."""
    page.goto(f"{served.web}/locations/cloudflow/jobs/{flow}/playground")
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    succeeded = page.get_by_text("RUN_SUCCESS", exact=True)
    failed = page.get_by_text("RUN_FAILURE", exact=True)
    succeeded.or_(failed).first.wait_for()
    return "RUN_FAILURE" if failed.count() else "RUN_SUCCESS"


def _snapshots(served: Served) -> int:
    import boto3

    ec2 = boto3.client(
        "ec2",
        endpoint_url=served.simulated_aws,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    mine = [{"Name": "tag:made-by", "Values": ["nightly-backup"]}]
    return len(ec2.describe_snapshots(Filters=mine)["Snapshots"])
