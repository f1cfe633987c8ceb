"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# CI tries the same examples each time, so that a change is judged by what it changes.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
