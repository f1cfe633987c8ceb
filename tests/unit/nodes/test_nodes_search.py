from cloudflow_dagster.nodes.search import Entry, best

ENTRIES = [
    Entry("aws.ec2.create_snapshot", "Create snapshot", "Copies a volume.", prominent=True),
    Entry("aws.ds.create_snapshot", "Create snapshot", "Copies a directory."),
    Entry("aws.ec2.create_snapshots", "Create snapshots", "Copies volumes.", prominent=True),
    Entry("aws.ec2.create_tenant_snapshot_plan", "Create tenant snapshot plan", ""),
    Entry("aws.s3.put_object", "Put object", "Stores a snapshot that one can create."),
    Entry("aws.sqs.send_message", "Send message", "Gives a message to a queue."),
]


def ids(words: str, limit: int = 10) -> list[str]:
    return [entry.id for entry in best(words, ENTRIES, limit)]


def test_whole_words_in_the_name_come_before_parts_and_descriptions() -> None:
    assert ids("create snapshot") == [
        "aws.ec2.create_snapshot",
        "aws.ec2.create_snapshots",
        "aws.ds.create_snapshot",
        "aws.ec2.create_tenant_snapshot_plan",
        "aws.s3.put_object",
    ]


def test_every_word_must_be_found_somewhere() -> None:
    assert ids("send queue") == ["aws.sqs.send_message"]
    assert ids("send bucket") == []


def test_case_punctuation_and_order_do_not_matter() -> None:
    assert ids("SNAPSHOT, create!", 1) == ["aws.ec2.create_snapshot"]
    assert ids("ec2.create_snapshot", 1) == ["aws.ec2.create_snapshot"]


def test_the_beginning_of_a_word_is_enough() -> None:
    assert ids("mess") == ["aws.sqs.send_message"]


def test_no_words_find_nothing_and_the_limit_holds() -> None:
    assert ids("  ?!") == []
    assert len(ids("create", 2)) == 2
