"""Schedules: what is accepted here is accepted by Dagster, and comes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import ScheduleDefinition, job
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator

from cloudflow_dagster.providers.trigger.cron import check_schedule, cron
from cloudflow_dagster.providers.trigger.cron_syntax import NICKNAMES, cron_problem
from cloudflow_dagster.providers.trigger.time_zones import time_zone_problem

GOOD = [
    "* * * * *",
    "0 2 * * *",
    "*/15 * * * *",
    "5/10 0 * * *",
    "0 8-18/2 * * mon-fri",
    "0 0 1,15 * *",
    "0 0 * JAN-mar Sun",
    "0 0 L * *",
    "0 0 ? * 7",
    "0 22 * * fri-mon",
    "0 0 * nov-feb *",
    "0 9 * * mon#2",
    "0 9 * * 1#1,3#2",
    "0 9 * * l5",
    "0 0 29 2 *",
    "0 0 29,30 2 mon",
    "0 0 28-31 2 *",
    "  0   0 * * *  ",
    *sorted(NICKNAMES),
    "@Daily",
]
BAD = {
    "": "five fields",
    "* * * *": "has 4",
    "* * * * * *": "has 6",
    "60 * * * *": "`60` is no minute",
    "* 24 * * *": "`24` is no hour",
    "* * 0 * *": "`0` is no day of the month",
    "* * * 13 *": "`13` is no month",
    "* * * * 8": "`8` is no day of the week",
    "*/0 * * * *": "The step of `*/0`",
    "*/70 * * * *": "The step of `*/70`",
    "5-5 * * * *": "range of one minute; write `5`",
    "1,,2 * * * *": "`` is no minute",
    "a * * * *": "`a` is no minute",
    "-1 * * * *": "`-1` is no minute",
    "*-5 * * * *": "`*-5` is no minute",
    "? * * * *": "`?` is no minute",
    "0 0 30 2 *": "never comes",
    "0 0 30 2 mon": "never comes",
    "0 0 31 4,6,9,11 *": "never comes",
    "0 9 * * mon#6": "`mon#6` is no day of the week",
    "0 9 * * mon#1,tue": "mixes",
    "@reboot": "is no schedule",
    "@never": "is no schedule",
    "0 0 * * 99999999999999999999": "is no day of the week",
    "0 0 \u0661 * *": "`\u0661` is no day of the month",
}


@pytest.mark.parametrize("text", GOOD)
def test_good_schedules_are_good_to_dagster_too(text: str) -> None:
    assert cron_problem(text) is None
    assert is_valid_cron_string(text)


@pytest.mark.parametrize(("text", "words"), BAD.items())
def test_bad_schedules_are_told_apart(text: str, words: str) -> None:
    assert words in (cron_problem(text) or "")


def _random_field(chance: random.Random) -> str:
    value = lambda: chance.choice([str(chance.randint(0, 33)), "mon", "feb", "l", "*", "sat"])  # noqa: E731 - short
    part = value()
    if chance.random() < 0.3:
        part += f"-{value()}"
    if chance.random() < 0.3:
        part += f"/{chance.randint(0, 33)}"
    if chance.random() < 0.1:
        part += f"#{chance.randint(0, 6)}"
    return chance.choice([part, part, "*", "?"]) if chance.random() < 0.8 else f"{part},{value()}"


def test_whatever_is_accepted_dagster_accepts_and_reaches() -> None:
    chance = random.Random(7)
    accepted = 0
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    for _ in range(20_000):
        text = " ".join(_random_field(chance) for _ in range(5))
        if cron_problem(text) is None:
            accepted += 1
            assert is_valid_cron_string(text), text
            next(schedule_execution_time_iterator(start, text, "UTC", ascending=True))
    assert accepted > 100


def test_accepted_schedules_make_a_dagster_schedule_without_a_warning() -> None:
    @job
    def nothing() -> None: ...

    for n, text in enumerate(GOOD):
        ScheduleDefinition(
            name=f"s{n}", job=nothing, cron_schedule=text, execution_timezone="Europe/Berlin"
        )


@pytest.mark.parametrize("name", ["UTC", "utc", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_known_time_zones(name: str) -> None:
    assert time_zone_problem(name) is None


@pytest.mark.parametrize("name", ["Europe/Berln", "", "Europe", "../etc/passwd", "/etc/localtime"])
def test_unknown_time_zones(name: str) -> None:
    assert f"There is no time zone `{name}`." in (time_zone_problem(name) or "")


def test_a_time_zone_is_suggested() -> None:
    assert "Did you mean `Europe/Berlin`?" in (time_zone_problem("Europe/Berln") or "")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"schedule": "x"}, ("schedule",)),
        ({"schedule": []}, ("schedule",)),
        ({"schedule": ["@daily", "x"]}, ("schedule", 1)),
        ({"schedule": "{{ params.s }}"}, ("schedule",)),
        ({"schedule": "@daily", "timezone": "Mars"}, ("timezone",)),
        ({"schedule": "@daily", "timezone": "{{ params.t }}"}, ("timezone",)),
    ],
)
def test_findings_have_a_place(config: dict[str, Any], path: tuple[str | int, ...]) -> None:
    assert [found for found, _ in check_schedule(config)] == [path]


def test_a_list_of_schedules_and_a_zone_are_fine() -> None:
    config = {"schedule": ["0 2 * * *", "@weekly"], "timezone": "Europe/Berlin"}
    assert check_schedule(config) == []


def test_the_payload_is_the_time_that_was_meant() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert cron(at, schedule="@daily") == {"scheduled_at": "2026-01-02T03:00:00+00:00"}
