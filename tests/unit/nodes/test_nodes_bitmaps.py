"""Sets of numbers as bits, and sums, compared with sets and sums one by one."""

from __future__ import annotations

import random

import pytest

from cloudflow_dagster.nodes.bitmaps import Sums, numbers_in, pack, unpack


def test_a_set_is_the_same_after_it_was_packed() -> None:
    for numbers in ([0], [7, 8], [3, 1, 2], [20_000], list(range(0, 5000, 7))):
        assert list(numbers_in(unpack(pack(numbers)))) == sorted(numbers)


def test_less_than_nothing_is_nothing() -> None:
    sums = Sums()
    sums.add(0b10, 1)
    sums.add(0b01, -1)
    assert sums.best(0b11, 2) == [1, 0]


def test_a_damaged_set_is_refused() -> None:
    with pytest.raises(ValueError, match="incorrect header"):
        unpack(b"nonsense")


@pytest.mark.parametrize("seed", range(30))
def test_the_best_are_those_with_the_greatest_sums_then_the_lower_numbers(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 300)
    sums, expected = Sums(), [0] * size
    for _ in range(chance.randint(0, 12)):
        entries, amount = chance.getrandbits(size), chance.randint(0, 300)
        sums.add(entries, amount)
        for number in numbers_in(entries):
            expected[number] += amount
    among, count = chance.getrandbits(size), chance.randint(0, 20)
    ranked = sorted(numbers_in(among), key=lambda number: (-expected[number], number))
    assert sums.best(among, count) == ranked[:count]
