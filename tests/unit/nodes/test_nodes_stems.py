"""What a search takes for the same word."""

from __future__ import annotations

import pytest

from cloudflow_dagster.nodes.stems import stem, words_of


@pytest.mark.parametrize(
    "words",
    [
        "encrypt encrypts encrypted encryption",
        "rotate rotates rotated rotating rotation",
        "policy policies",
        "instance instances",
        "stop stops stopped stopping",
        "address addresses",
        "delete deleted deletion deletes",
        "deploy deployment deployed",
        "queue queues queued",
    ],
)
def test_the_forms_of_a_word_have_one_stem(words: str) -> None:
    stems = {stem(word) for word in words.split()}
    assert len(stems) == 1, stems


@pytest.mark.parametrize("words", ["rule role", "key keep", "task tag", "alias ali", "s3 ss"])
def test_other_words_have_other_stems(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 2


def test_words_are_split_where_a_name_begins_a_new_one() -> None:
    assert words_of("CreateDBInstance of ec2.create_vpc") == [
        *("create", "db", "instance", "of", "ec2", "create", "vpc"),
    ]
