"""JSON to arguments and back; errors in words."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws import errors
from cloudflow_dagster.providers.aws.models import load_service
from cloudflow_dagster.providers.aws.values import Arguments, Results


def arguments(folder: Path, service: str, operation: str, config: Any) -> Any:
    with ExitStack() as files:
        return Arguments(load_service(service), folder, files).of(operation, config)


def results(folder: Path, answer: Any) -> Any:
    return Results(folder, "node-token", lambda: None, iter).of(answer)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T08:00:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23 09:00:00+01:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (
            "2026-11-23T08:00:00.1234567Z",
            datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC),
        ),
        (1_795_000_000, 1_795_000_000),
    ],
)
def test_times_are_taken_as_text_or_numbers_and_are_utc_without_a_zone(
    tmp_path: Path, given: Any, moment: Any
) -> None:
    config = {"logGroupName": "g", "StartTime": given}
    found = arguments(tmp_path, "cloudwatch", "GetMetricStatistics", config)
    assert found["StartTime"] == moment
    assert found["logGroupName"] == "g"


def test_a_text_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        arguments(tmp_path, "cloudwatch", "GetMetricStatistics", {"StartTime": "tomorrow"})
    assert caught.value.code == "ParamValidation"
    assert "`StartTime` is not a time" in caught.value.message
    assert "tomorrow" not in caught.value.message


def test_bytes_deep_inside_are_found(tmp_path: Path) -> None:
    item = {
        "a": {"M": {"b": {"L": [{"B": "text"}, {"B": {"base64": "/wA="}}]}}},
        "c": {"BS": ["x"]},
    }
    found = arguments(tmp_path, "dynamodb", "PutItem", {"TableName": "t", "Item": item})
    assert found["Item"]["a"]["M"]["b"]["L"] == [{"B": b"text"}, {"B": b"\xff\x00"}]
    assert found["Item"]["c"] == {"BS": [b"x"]}


def test_bad_base64_is_refused_with_its_place(tmp_path: Path) -> None:
    item = {"a": {"L": [{"B": {"base64": "?"}}]}}
    with pytest.raises(NodeError, match=r"Item\.a\.L\[0\]\.B\.base64"):
        arguments(tmp_path, "dynamodb", "PutItem", {"TableName": "t", "Item": item})


def test_a_file_becomes_bytes_or_a_stream(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    file = {"file": str(tmp_path / "f")}
    code = arguments(tmp_path, "lambda", "UpdateFunctionCode", {"ZipFile": file})
    assert code["ZipFile"] == b"content"
    with ExitStack() as files:
        found = Arguments(load_service("s3"), tmp_path, files).of("PutObject", {"Body": file})
        assert found["Body"].read() == b"content"
    assert found["Body"].closed


def test_whole_floats_become_integers_and_the_rest_is_left_to_botocore(tmp_path: Path) -> None:
    config = {"MaxResults": 5.0, "VolumeIds": "no list", "Unknown": {"x": 1.5}}
    found = arguments(tmp_path, "ec2", "DescribeVolumes", config)
    assert found == {"MaxResults": 5, "VolumeIds": "no list", "Unknown": {"x": 1.5}}
    assert isinstance(found["MaxResults"], int)


def test_documents_are_taken_as_they_are(tmp_path: Path) -> None:
    fields = {"additionalModelRequestFields": {"base64": "x", "n": 1.0}}
    found = arguments(tmp_path, "bedrock-runtime", "Converse", fields)
    assert found == fields


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (datetime(2026, 11, 23, 8, tzinfo=UTC), "2026-11-23T08:00:00Z"),
        (datetime(2026, 11, 23, 9, tzinfo=timezone(timedelta(hours=1))), "2026-11-23T08:00:00Z"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "0001-01-01T00:00:00+01:00"),
        (b"text", "text"),
        (b"\xff", {"base64": "/w=="}),
        (Decimal(2**60 + 1), 2**60 + 1),
        (Decimal("1.5"), 1.5),
        (2**63 + 1, 2**63 + 1),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ([{"a": (b"x",)}], [{"a": ["x"]}]),
        (None, None),
        (True, True),
    ],
)
def test_answers_become_json(tmp_path: Path, value: Any, json: Any) -> None:
    answer = {"Field": value, "ResponseMetadata": {"RequestId": "r"}}
    assert results(tmp_path, answer) == {"Field": json}


class Dripping(io.BytesIO):
    """A connection that gives a little at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1000, size if size and size > 0 else 1000))


def test_a_stream_that_drips_is_read_to_its_end(tmp_path: Path) -> None:
    assert results(tmp_path, {"Body": Dripping(b"x" * 5000)}) == {"Body": "x" * 5000}
    long = results(tmp_path, {"Body": Dripping(b"y" * 300_000)})
    assert Path(long["Body"]["file"]).read_bytes() == b"y" * 300_000
    assert Path(long["Body"]["file"]).name == "node-token-Body"


def test_what_is_written_to_a_file_passes_the_redaction(tmp_path: Path) -> None:
    def redact(chunks: Iterable[bytes]) -> Iterator[bytes]:
        return (chunk.replace(b"hunter2", b"***") for chunk in chunks)

    body = io.BytesIO(b"x" * 300_000 + b"hunter2")
    long = Results(tmp_path, "a", lambda: None, redact).of({"Body": body})
    assert Path(long["Body"]["file"]).read_bytes() == b"x" * 300_000 + b"***"


def test_a_stream_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    class Breaking(Dripping):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 290_000:
                raise ConnectionResetError
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        results(tmp_path, {"Body": Breaking(b"z" * 400_000)})
    assert list(tmp_path.iterdir()) == []


def test_throttling_codes_are_those_of_botocore() -> None:
    from botocore.retries import standard

    theirs = set(standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
    assert theirs <= errors.THROTTLED
    transient = set(standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES)
    assert transient <= errors.TRANSIENT
    statuses = set(standard.TransientRetryableChecker._TRANSIENT_STATUS_CODES)
    assert statuses <= errors.TRANSIENT_STATUS


def test_an_operations_own_retryable_errors_are_transient() -> None:
    own = [
        {"name": "TryAgain", "retryable": {"throttling": False}},
        {"name": "Coded", "retryable": {}, "error": {"code": "Code.Own"}},
        {"name": "Fatal"},
    ]
    assert errors.transient_codes(own) - errors.TRANSIENT == {"TryAgain", "Code.Own"}
