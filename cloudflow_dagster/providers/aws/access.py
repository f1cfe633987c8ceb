"""Whether an AWS operation reads, changes or destroys, and what is harmful about it.

IAM says it best, where it is known; then the model's `readonly` trait; then the verb. The three
disagree on about one operation in a hundred.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Access
from cloudflow_dagster.providers.aws.exposure import ANYWHERE, exposes, fields_in
from cloudflow_dagster.providers.aws.models import Service
from cloudflow_dagster.providers.aws.repeat import reads
from cloudflow_dagster.providers.aws.text import label

_DESTROYS = re.compile(
    r"(?:Batch|Bulk|Admin|Force|Start)?(?:Delete|Terminate|Purge|Destroy|Erase|Wipe|Empty|Expire"
    r"|Release|Scheduled?\w*Deletion)(?![a-z])"
)
_DESTROYS_TOO = frozenset({("ec2", "DeregisterImage"), ("organizations", "CloseAccount")})
_TAGS = re.compile(r"(?:Batch)?(?:Delete|Remove)\w*Tags?(?:ForResource|FromResource)?$")
"""Takes away labels, which are a change of what carries them."""

_READING_LEVELS = frozenset({"List", "Read"})
_WRITING_LEVEL = "Write"
"""The two others say what is worked on, and not whether it is changed."""
_TAGGING_LEVEL = "Tagging"
_CHANGES = re.compile(r"(?:Create|Delete|Modify|Put|Set|Tag|Terminate|Untag|Update)(?![a-z])")
"""What IAM calls reading here and there, and is not."""


def access_of(
    service: str,
    operation: str,
    settings: Mapping[str, Json],
    *,
    rest: bool,
    level: str | None = None,
) -> Access:
    """Return whether an operation reads, changes or destroys.

    Args:
        service: botocore's name of the service.
        operation: The API's own name of the operation.
        settings: What the model says of the operation.
        rest: Whether the service's protocol is one of REST.
        level: IAM's access level of the action that the operation needs (`List`, `Read`, `Write`,
            `Permissions management`, `Tagging`), where it is known.
            Source: https://docs.aws.amazon.com/service-authorization/latest/reference/
    """
    certain = level in _READING_LEVELS and not _CHANGES.match(operation)
    if certain or (level != _WRITING_LEVEL and reads(service, operation, settings, rest=rest)):
        return Access.READ
    if level == _TAGGING_LEVEL or _TAGS.match(operation):
        return Access.CHANGE
    if _DESTROYS.match(operation) or (service, operation) in _DESTROYS_TOO:
        return Access.DESTROY
    return Access.CHANGE


def destructive(operation: str) -> str:
    """Return what is harmful about an operation that destroys, as a sentence."""
    return f"“{label(operation)}” takes away what it cannot bring back."


def destructive_of(service: Service, operation: str) -> Callable[[Mapping[str, Json]], str | None]:
    """Return what finds harm in the config of a node that changes something."""
    return _BY_CONFIG.get((service.name, operation), exposes)


def opens(config: Mapping[str, Json]) -> str | None:
    """Return what the config of a rule lets in, if that is everybody."""
    found = next((value for _, value in fields_in(dict(config)) if value in ANYWHERE), None)
    return f"It opens a security group to the whole internet ({found})." if found else None


def _deletes_records(config: Mapping[str, Json]) -> str | None:
    deletes = ("Action", "DELETE") in fields_in(dict(config))
    return "It deletes records of a zone." if deletes else None


def _deletes_items(config: Mapping[str, Json]) -> str | None:
    deletes = any(name == "DeleteRequest" for name, _ in fields_in(dict(config)))
    return "It deletes items of a table." if deletes else None


_BY_CONFIG: Mapping[tuple[str, str], Callable[[Mapping[str, Json]], str | None]] = {
    ("dynamodb", "BatchWriteItem"): _deletes_items,
    ("ec2", "AuthorizeSecurityGroupIngress"): opens,
    ("ec2", "ModifySecurityGroupRules"): opens,
    ("route53", "ChangeResourceRecordSets"): _deletes_records,
}
