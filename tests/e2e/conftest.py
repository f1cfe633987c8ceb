"""A project as `cloudflow init` makes it, served by `cloudflow dev`, and a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CLOUDFLOW = (sys.executable, "-c", "from cloudflow_dagster.cli import main; main()")


@dataclass(frozen=True)
class Served:
    root: Path
    web: str
    simulated_aws: str


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("project")
    subprocess.run([*CLOUDFLOW, "init", str(root)], check=True, capture_output=True, timeout=60)
    log = root / "dev.log"
    with log.open("wb") as out:
        dev = subprocess.Popen(
            [*CLOUDFLOW, "dev", "--port", "0"], cwd=root, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        facts = _facts(root, dev, log)
        yield Served(root, facts["web"], facts["simulated_aws"])
    finally:
        dev.send_signal(signal.SIGTERM)
        dev.wait(60)


def _facts(root: Path, dev: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    file = root / ".cloudflow" / "dev.json"
    give_up = time.monotonic() + 240
    while not file.exists():
        assert dev.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.2)
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Any]:
    """A page of a headless Chromium. Screenshots go to $CLOUDFLOW_SCREENSHOTS, if that is set.

    Not for the whole session: while Playwright is open its event loop runs in this thread, and
    Dagster, which wants a loop of its own for each run, leaves a coroutine behind that never runs.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def screenshot(page: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    yield
    folder = Path(os.environ.get("CLOUDFLOW_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{request.node.name}.png")
