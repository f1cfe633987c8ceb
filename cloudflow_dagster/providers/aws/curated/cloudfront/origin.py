"""What distributions of CloudFront fetch from."""

from __future__ import annotations

import re
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.operations import Operations

_REGIONS: dict[Json, str] = {None: "us-east-1", "EU": "eu-west-1"}
"""Regions that S3 calls otherwise.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
"""


def server_origin(domain: str | None) -> dict[str, Any]:
    """Return a server as CloudFront takes it."""
    return {
        "Id": "server",
        "DomainName": domain,
        "CustomOriginConfig": {
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "https-only",
            "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
        },
    }


_BUCKET = re.compile(r"(.+)\.s3\.(?:([a-z0-9-]+)\.)?amazonaws\.com(?:\.cn)?")
"""The name of a bucket in the DNS, with or without its region."""


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def bucket_origin(aws: Operations, bucket: str, region: str | None) -> dict[str, Any]:
    """Return a bucket as CloudFront takes it; if its region is not given, S3 is asked for it."""
    region = region or _region(aws, bucket)
    return {
        "Id": "bucket",
        "DomainName": f"{bucket}.s3.{region}.{_suffix(region)}",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
        "OriginAccessControlId": _access(aws),
    }


def _region(aws: Operations, bucket: str) -> str:
    try:
        answer = aws.ask("s3.GetBucketLocation", Bucket=bucket)
    except NodeError as error:
        if error.transient:
            raise
        # Only the owner of a bucket may ask where it is.
        raise NodeError(
            error.code,
            f"{error.message} If the bucket `{bucket}` is another account's, say where it is as "
            "`bucket_region`.",
            transient=False,
        ) from None
    where: str | None = answer.get("LocationConstraint")
    return _REGIONS.get(where) or str(where)


def origin_as_written(origins: list[dict[str, Any]]) -> dict[str, Json]:
    """Return the only origin as an author writes it; nothing if there are several."""
    if len(origins) != 1:
        return {}
    domain = str(origins[0]["DomainName"])
    bucket = _BUCKET.fullmatch(domain)
    if bucket is None:
        return {"domain": domain}
    return {"bucket": bucket[1], "bucket_region": bucket[2]}


def _access(aws: Operations) -> str:
    """Return the id of what lets distributions into closed buckets; one serves all of them."""
    name, marker = "cloudflow", None
    while True:
        answer = aws.ask("cloudfront.ListOriginAccessControls", Marker=marker)
        listed: dict[str, Any] = answer["OriginAccessControlList"]
        items: list[dict[str, Any]] = listed.get("Items") or []
        for each in items:
            if each["Name"] == name:
                return str(each["Id"])
        marker = listed.get("NextMarker")
        if not marker:
            break
    made = aws.ask(
        "cloudfront.CreateOriginAccessControl",
        OriginAccessControlConfig={
            "Name": name,
            "OriginAccessControlOriginType": "s3",
            "SigningBehavior": "always",
            "SigningProtocol": "sigv4",
        },
    )
    return str(made["OriginAccessControl"]["Id"])
