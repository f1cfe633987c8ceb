"""Objects in S3."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import MANY, ONE, Body, Tags, many, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_Bucket: TypeAlias = Annotated[str, one("bucket", "name", "Name", "Bucket"), ONE]
_Key: TypeAlias = Annotated[str, one("key", "Key"), ONE, Field(min_length=1)]
Bucket = Annotated[_Bucket, Names("BucketName")]
Key = Annotated[_Key, Names("ObjectName")]
SourceBucket = Annotated[_Bucket, Names("SourceBucket")]
SourceKey = Annotated[_Key, Names("SourceKey")]
Keys = Annotated[list[str], many("key", "Key"), MANY, Names("ObjectName")]
_AT_ONCE = 1000
_AS_IT_IS = ({"base64"}, {"file"})


class Place(TypedDict):
    """Where an object is."""

    bucket: Annotated[str, Field(description="Its bucket.")]
    key: Annotated[str, Field(description="Its key.")]
    url: Annotated[str, Field(description="`s3://bucket/key`.")]
    etag: Annotated[str | None, Field(description="Changes with the content.")]
    version: Annotated[str | None, Field(description="If the bucket keeps versions.")]


class Content(TypedDict):
    """What an object holds."""

    body: Annotated[
        Any, Field(description="Text, JSON, `{base64}`, or `{file}` for what is large.")
    ]
    size: Annotated[int, Field(description="Bytes.")]
    content_type: Annotated[str | None, Field(description="As it was stored.")]
    etag: Annotated[str | None, Field(description="Changes with the content.")]
    modified_at: Annotated[str | None, Field(description="When it was stored.")]
    metadata: Annotated[dict[str, str], Field(description="What was stored with it.")]


class Listed(TypedDict):
    """One object of a list."""

    key: Annotated[str, Field(description="Its key.")]
    size: Annotated[int, Field(description="Bytes.")]
    modified_at: Annotated[str, Field(description="When it was stored.")]
    etag: Annotated[str | None, Field(description="Changes with the content.")]


class Listing(TypedDict):
    """Objects of a bucket."""

    bucket: Annotated[str, Field(description="Their bucket.")]
    keys: Annotated[list[str], Field(description="Their keys.")]
    objects: Annotated[list[Listed], Field(description="The same with size and age.")]
    count: Annotated[int, Field(description="How many.")]
    bytes: Annotated[int, Field(description="All of them together.")]


class Deleted(TypedDict):
    """What is gone."""

    bucket: Annotated[str, Field(description="The bucket.")]
    keys: Annotated[list[str], Field(description="What it holds no more.")]


class Address(TypedDict):
    """An address that works without logging in."""

    url: Annotated[str, Field(description="Whoever has it may use it.")]
    seconds: Annotated[int, Field(description="For how long it works.")]


@aws_action(
    "aws.s3.object.put",
    label="Put object",
    calls=("s3.PutObject",),
    repeat=Repeat.SAFE,
    icon="upload",
)
def put(
    aws: Operations,
    *,
    bucket: Bucket,
    key: Key,
    body: Body,
    content_type: str | None = None,
    metadata: Tags | None = None,
    storage_class: str | None = None,
    kms_key: Annotated[str, Names("KeyId")] | None = None,
) -> Place:
    """Stores an object in a bucket. Anything but text and files is stored as JSON.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        key: Key of the object.
        body: Text, `{"base64": …}`, `{"file": …}` of another node, or any JSON.
        content_type: `text/csv`, …; JSON's own for what is stored as JSON.
        metadata: Stored with it.
        storage_class: `STANDARD_IA`, …; the bucket's own if none is given.
        kms_key: Key of KMS to encrypt with instead of the bucket's own.
    """
    plain = isinstance(body, str) or _is_file(body)
    answer = aws.ask(
        "s3.PutObject",
        Bucket=bucket,
        Key=key,
        Body=body if plain else json.dumps(body, ensure_ascii=False),
        ContentType=content_type or (None if plain else "application/json"),
        Metadata=metadata,
        StorageClass=storage_class,
        SSEKMSKeyId=kms_key,
        ServerSideEncryption="aws:kms" if kms_key else None,
    )
    return _place(bucket, key, answer)


@aws_action(
    "aws.s3.object.get",
    label="Get object",
    calls=("s3.GetObject",),
    repeat=Repeat.READ,
    icon="download",
)
def get(
    aws: Operations,
    *,
    bucket: Bucket,
    key: Key,
    version: str | None = None,
    format: Literal["auto", "json", "text"] = "auto",
) -> Content:
    """Reads an object of a bucket.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        key: Key of the object.
        version: Of several, if the bucket keeps versions.
        format: `auto` reads JSON where the content type says so; `json` always; `text` never.
    """
    answer = aws.ask("s3.GetObject", Bucket=bucket, Key=key, VersionId=version)
    kind = answer.get("ContentType")
    wanted = format == "json" or (format == "auto" and "json" in str(kind))
    return {
        "body": _parsed(answer["Body"], must=format == "json") if wanted else answer["Body"],
        "size": answer["ContentLength"],
        "content_type": kind,
        "etag": answer.get("ETag"),
        "modified_at": answer.get("LastModified"),
        "metadata": answer.get("Metadata", {}),
    }


@aws_action(
    "aws.s3.object.list",
    label="List objects",
    calls=("s3.ListObjectsV2",),
    repeat=Repeat.READ,
    icon="list",
)
def list_(
    aws: Operations, *, bucket: Bucket, prefix: str = "", at_most: int | None = None
) -> Listing:
    """Lists the objects of a bucket, all pages.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        prefix: What their keys begin with.
        at_most: How many; all if not given.
    """
    limit = None if at_most is None or at_most > _AT_ONCE else at_most
    ask = aws.pages if limit is None else aws.ask
    answer = ask("s3.ListObjectsV2", Bucket=bucket, Prefix=prefix, MaxKeys=limit)
    found: list[Listed] = [
        {
            "key": each["Key"],
            "size": each["Size"],
            "modified_at": each["LastModified"],
            "etag": each.get("ETag"),
        }
        for each in answer.get("Contents", [])[:at_most]
    ]
    return {
        "bucket": bucket,
        "keys": [each["key"] for each in found],
        "objects": found,
        "count": len(found),
        "bytes": sum(each["size"] for each in found),
    }


@aws_action(
    "aws.s3.object.copy",
    label="Copy object",
    calls=("s3.CopyObject",),
    repeat=Repeat.SAFE,
    icon="copy",
)
def copy(
    aws: Operations,
    *,
    bucket: SourceBucket,
    key: SourceKey,
    to_key: Annotated[str, Names("ObjectName"), Field(min_length=1)],
    to_bucket: Bucket | None = None,
    version: str | None = None,
) -> Place:
    """Copies an object of up to 5 GB, in its bucket or to another.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket that has it.
        key: Its key.
        to_key: Key of the copy.
        to_bucket: Bucket of the copy; the same if none is given.
        version: Of several, if the bucket keeps versions.
    """
    target = to_bucket or bucket
    source = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    answer = aws.ask("s3.CopyObject", Bucket=target, Key=to_key, CopySource=source)
    return _place(target, to_key, answer)


@aws_action(
    "aws.s3.object.delete",
    label="Delete objects",
    calls=("s3.DeleteObjects",),
    repeat=Repeat.SAFE,
    destructive="It deletes objects; only a bucket with versions keeps what was in them.",
    icon="trash-2",
)
def delete(aws: Operations, *, bucket: Bucket, keys: Keys) -> Deleted:
    """Deletes objects of a bucket; one that is not there is no error.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        keys: Keys, one or many, or objects that another node gave.
    """
    for n in range(0, len(keys), _AT_ONCE):
        listed: list[Json] = [{"Key": key} for key in keys[n : n + _AT_ONCE]]
        delete_all(aws, bucket, listed)
    return {"bucket": bucket, "keys": keys}


@aws_action(
    "aws.s3.object.presign",
    label="Presign object",
    calls=("s3.GetObject", "s3.PutObject"),
    repeat=Repeat.READ,
    icon="link",
)
def presign(
    aws: Operations,
    *,
    bucket: Bucket,
    key: Key,
    method: Literal["get", "put"] = "get",
    seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600,
) -> Address:
    """Makes an address with which anybody may read or store one object for a time.

    It works for as long as the credential that made it does, too: a role's ends after an hour.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        key: Key of the object.
        method: Whether it reads or stores.
        seconds: For how long it works.
    """
    operation = "s3.GetObject" if method == "get" else "s3.PutObject"
    return {"url": aws.presigned(operation, seconds, Bucket=bucket, Key=key), "seconds": seconds}


def delete_all(aws: Operations, bucket: str, objects: list[Json]) -> None:
    """Delete up to a thousand objects or versions of them.

    Raises:
        NodeError: Some of them were not deleted.
    """
    answer = aws.ask("s3.DeleteObjects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    failed = cast("list[dict[str, str]]", answer.get("Errors") or [])
    if failed:
        first = failed[0]
        raise NodeError(
            first.get("Code") or "NotDeleted",
            f"{len(failed)} of {len(objects)} objects were not deleted; the first is "
            f"`{first.get('Key')}`: {first.get('Message') or 'AWS does not say why'}.",
        )


def _place(bucket: str, key: str, answer: dict[str, Json]) -> Place:
    result: dict[str, Json] = answer.get("CopyObjectResult") or answer
    return {
        "bucket": bucket,
        "key": key,
        "url": f"s3://{bucket}/{key}",
        "etag": result.get("ETag"),
        "version": answer.get("VersionId"),
    }


def _is_file(body: Json) -> bool:
    return isinstance(body, dict) and set(cast("dict[str, Json]", body)) in _AS_IT_IS


def _parsed(body: Json, *, must: bool) -> Json:
    if isinstance(body, str):
        try:
            return json.loads(body)
        except ValueError as error:
            if must:
                raise NodeError("InvalidJson", f"The object is not JSON: {error}.") from None
    elif must:
        raise NodeError("InvalidJson", "The object is not JSON, or larger than 256 kB.")
    return body
