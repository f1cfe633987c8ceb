"""A run's clock stands still while the run does nothing but wait."""

from __future__ import annotations

import pytest

from cloudflow_dagster.runtime.clock import RunClock


class Hand:
    """A time that the test moves on."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def clock(hand: Hand) -> RunClock:
    return RunClock(hand)


def test_it_goes_on_while_something_is_done_and_between(clock: RunClock, hand: Hand) -> None:
    hand.time += 1
    with clock.doing(waits=False):
        hand.time += 2
    assert clock.seconds() == 3


def test_it_stands_still_while_the_run_only_waits(clock: RunClock, hand: Hand) -> None:
    with clock.doing(waits=True):
        hand.time += 5
        assert clock.seconds() == 0
        with clock.doing(waits=True):
            hand.time += 5
        assert clock.seconds() == 0
    hand.time += 1
    assert clock.seconds() == 1


def test_it_goes_on_while_one_branch_waits_and_another_works(clock: RunClock, hand: Hand) -> None:
    with clock.doing(waits=True):
        hand.time += 5
        with clock.doing(waits=False):
            hand.time += 2
        hand.time += 5
    assert clock.seconds() == 2


def test_it_counts_from_its_start(clock: RunClock, hand: Hand) -> None:
    hand.time += 7
    clock.start()
    hand.time += 1
    assert clock.seconds() == 1


def test_it_goes_on_after_an_error(clock: RunClock, hand: Hand) -> None:
    with pytest.raises(ValueError), clock.doing(waits=True):  # noqa: PT011 - our own
        raise ValueError
    hand.time += 1
    assert clock.seconds() == 1
