"""What a search finds, on a small catalogue of its own."""

from __future__ import annotations

import pytest

from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import Access, Kind

ENTRIES = [
    Entry("aws.ec2.create_snapshot", "Create snapshot", "Copies a volume.", prominent=1),
    Entry("aws.ds.create_snapshot", "Create snapshot", "Copies a directory."),
    Entry("aws.ec2.create_snapshots", "Create snapshots", "Copies volumes.", prominent=1),
    Entry("aws.ec2.create_tenant_snapshot_plan", "Create tenant snapshot plan", ""),
    Entry("aws.s3.put_object", "Put object", "Stores what one can create."),
    Entry("aws.sqs.send_message", "Send message", "Gives a message to a queue.", about="SQS"),
    Entry("aws.ec2.stop_instances", "Stop instances", "Stops instances.", provider="aws"),
    Entry("aws.ec2.instance.stop", "Stop instance", "Stops instances.", curated=True),
    Entry("aws.sqs.queue", "Queue", "A queue.", kind=Kind.RESOURCE, curated=True),
    Entry("aws.sqs.create_queue", "Create queue", "Makes a queue."),
    Entry("aws.trail.lookup_calls", "Look up calls", "Tells of calls.", access=Access.READ),
    Entry("aws.backup.start_backup", "Start backup", "Keeps a copy."),
    Entry("aws.a.tag_it", "Tag it", "Tags it."),
    Entry("aws.tagging.tag_it", "Tag it", "Tags it.", about="all that has a tag"),
    Entry("aws.ec2.delete_vpc", "Delete VPC", "Deletes a network.", access=Access.DESTROY),
    Entry("aws.ec2.describe_vpcs", "Describe VPCs", "Tells of networks.", access=Access.READ),
    Entry("logic.wait", "Wait", "Waits for a time.", prominent=1),
]
SYNONYMS = {
    "machine": ["instance"],
    "halt": ["stop"],
    "machines": ["engine"],
    "who": ["lookup", "calls"],
    "backup": ["snapshot"],
}


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(["the small one"], lambda: ENTRIES, lambda: SYNONYMS)


def ids(index: Index, words: str, limit: int = 10, family: str | None = None) -> list[str]:
    return [entry.id for entry in index.search(words, limit, family)]


def test_whole_names_come_first_then_short_ones_of_well_known_services(index: Index) -> None:
    assert ids(index, "create snapshot", 1) == ["aws.ec2.create_snapshot"]
    assert ids(index, "stop instances", 1) == ["aws.ec2.stop_instances"]
    assert ids(index, "ds create snapshot", 1) == ["aws.ds.create_snapshot"]


def test_the_longest_name_of_all_is_found_by_its_words() -> None:
    two = [Entry("x.a.copy_snapshot", "Copy snapshot", ""), Entry("x.snapshot.copy", "Copy", "")]
    index = Index(["two"], lambda: [*two, Entry("x.b.list", "List", "copy snapshot")], dict)
    assert ids(index, "copy snapshot", 1) == ["x.a.copy_snapshot"]


def test_not_every_word_has_to_be_found(index: Index) -> None:
    assert ids(index, "please send it to the queue at dawn", 1) == ["aws.sqs.send_message"]


def test_words_that_say_nothing_count_only_when_there_is_nothing_else(index: Index) -> None:
    assert ids(index, "what can the")[:1] == ["aws.s3.put_object"]


def test_case_punctuation_order_and_camel_case_do_not_matter(index: Index) -> None:
    assert ids(index, "SNAPSHOT, create!", 1) == ["aws.ec2.create_snapshot"]
    assert ids(index, "ec2.create_snapshot", 1) == ["aws.ec2.create_snapshot"]
    assert ids(index, "CreateSnapshot", 1) == ["aws.ec2.create_snapshot"]


def test_other_forms_of_a_word_are_the_same_word(index: Index) -> None:
    assert ids(index, "creation of a snapshot", 1) == ["aws.ec2.create_snapshot"]
    assert "aws.ec2.stop_instances" in ids(index, "stopping instances")


def test_the_beginning_of_a_word_is_enough_if_no_entry_has_the_word(index: Index) -> None:
    assert ids(index, "mess") == ["aws.sqs.send_message"]


def test_synonyms_are_understood_and_all_forms_of_a_word_share_them(index: Index) -> None:
    assert ids(index, "halt a machine", 1) == ["aws.ec2.instance.stop"]


def test_what_a_person_wrote_comes_before_what_was_generated(index: Index) -> None:
    assert ids(index, "stop instance", 2) == ["aws.ec2.instance.stop", "aws.ec2.stop_instances"]


def test_reads_come_before_what_destroys_unless_that_was_asked_for(index: Index) -> None:
    assert ids(index, "vpc", 2) == ["aws.ec2.describe_vpcs", "aws.ec2.delete_vpc"]
    assert ids(index, "delete a vpc", 1) == ["aws.ec2.delete_vpc"]


def test_a_resource_type_makes_the_resource_but_is_not_meant_by_all_that_is_done_to_it(
    index: Index,
) -> None:
    assert ids(index, "create a queue", 1) == ["aws.sqs.queue"]
    assert ids(index, "queue", 1) == ["aws.sqs.queue"]
    assert ids(index, "send to a queue", 1) == ["aws.sqs.send_message"]


def test_a_verb_with_its_particle_is_one_word_if_that_is_known(index: Index) -> None:
    assert "aws.backup.start_backup" in ids(index, "back up", 3)
    assert ids(index, "stop in", 1) == ["aws.ec2.instance.stop"]


def test_who_is_heeded_where_it_means_something_and_asks_for_what_reads(index: Index) -> None:
    assert ids(index, "who stops instances")[0] != "aws.trail.lookup_calls"
    assert ids(index, "who was it", 1) == ["aws.trail.lookup_calls"]


def test_a_service_that_is_about_a_thing_comes_before_others_that_have_it_too(index: Index) -> None:
    assert ids(index, "tag", 2) == ["aws.tagging.tag_it", "aws.a.tag_it"]


def test_a_search_can_keep_to_one_family_and_to_a_limit(index: Index) -> None:
    assert ids(index, "wait", family="aws") == []
    assert ids(index, "wait", family="logic") == ["logic.wait"]
    assert len(ids(index, "create", 2)) == 2


@pytest.mark.parametrize(
    "words", ["", "  ?!", "*", '"', "NEAR(", "name:", "-", "\0", "ß🚀", "a" * 5000]
)
def test_no_text_however_odd_breaks_a_search(index: Index, words: str) -> None:
    assert ids(index, words) == []


def test_everything_can_be_listed_in_its_order(index: Index) -> None:
    assert [entry.id for entry in index.entries()] == [entry.id for entry in ENTRIES]
    assert [entry.id for entry in index.entries("logic")] == ["logic.wait"]
    [first] = index.entries(limit=1)
    assert (first.label, first.access, first.prominent) == ("Create snapshot", Access.CHANGE, 1)
