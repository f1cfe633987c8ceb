"""Which operation of AWS undoes another one, and what it has to be given.

An operation that makes something has an inverse if one of the service removes just that, and all
that the inverse must be given is known: from the answer, or from what was asked for. What
overwrites (`Put…`), and what leaves as it is what is there already (`Enable…`, `Tag…`, creating a
topic), has none: undoing it could take away what somebody else had made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Inverse, Repeat
from cloudflow_dagster.providers.aws.models import Service, snake_case
from cloudflow_dagster.providers.aws.repeat import repeat_of

_VERBS: Mapping[str, str] = {
    "Create": "Delete",
    "Allocate": "Release",
    "Attach": "Detach",
    "Authorize": "Revoke",
    "Associate": "Disassociate",
}
_VERB = re.compile(rf"({'|'.join(_VERBS)})(?=[A-Z])")
_BY_NAME: Mapping[tuple[str, str], str] = {("ec2", "RunInstances"): "TerminateInstances"}
_REFUSES_TWICE = frozenset(
    {
        ("ec2", "AssociateIamInstanceProfile"),
        ("ec2", "AssociateRouteTable"),
        ("ec2", "AssociateSubnetCidrBlock"),
        ("ec2", "AttachInternetGateway"),
        ("ec2", "AttachNetworkInterface"),
        ("ec2", "AttachVolume"),
        ("ec2", "AttachVpnGateway"),
        ("ec2", "AuthorizeSecurityGroupEgress"),
        ("ec2", "AuthorizeSecurityGroupIngress"),
        ("ec2", "CreateRoute"),
        ("lambda", "CreateAlias"),
        ("lambda", "CreateFunction"),
        # In us-east-1 it does not; but a bucket that holds anything is not deleted.
        ("s3", "CreateBucket"),
    }
)
"""Operations that are safe to repeat because a second one fails, so that the first made it."""
_NEVER_GIVEN = re.compile(r"DryRun|.*Token|.*Force.*|.*Description")
"""Members of an inverse that do not say what it is about."""
_NAMES_IT = re.compile(r".*(Ids?|Arns?|ARN|Url)")
"""Members of an inverse by any one of which it finds what it is about."""


def inverse_of(service: Service, operation: str) -> Inverse | None:
    """Return what undoes an operation, if there is no doubt about it.

    Args:
        service: The service's model.
        operation: The API's own name of the operation.
    """
    name = _BY_NAME.get((service.name, operation)) or _opposite(operation)
    if name is None or name not in service.model["operations"]:
        return None
    if repeat_of(service, operation) is Repeat.SAFE and not _refuses_twice(service, operation):
        return None
    required = _required(service, name)
    output: dict[str, str] = {}
    same: list[str] = []
    for member, reference in service.members(name, "input").items():
        asked = service.members(operation, "input").get(member)
        path = _in_output(service, operation, member, reference["shape"])
        if path is not None and (member in required or (not required and _names_it(member))):
            output[member] = path
        elif asked is not None and asked["shape"] == reference["shape"] and _says(member):
            same.append(member)
        elif member in required:
            return None
    if output and not required:
        # What was made has an id: what else could be said would at best say the same.
        same = [member for member in same if _names_it(member)]
    if not output and not same:
        return None
    id = f"aws.{service.name.replace('-', '_')}.{snake_case()(name)}"
    must = tuple(member for member in same if member in required)
    return Inverse(id, output, tuple(same), must)


def _refuses_twice(service: Service, operation: str) -> bool:
    return (service.name, operation) in _REFUSES_TWICE


def _names_it(member: str) -> bool:
    return bool(_NAMES_IT.fullmatch(member))


def _says(member: str) -> bool:
    return not _NEVER_GIVEN.fullmatch(member)


def _opposite(operation: str) -> str | None:
    found = _VERB.match(operation)
    return None if found is None else _VERBS[found[1]] + operation[found.end() :]


def _required(service: Service, operation: str) -> frozenset[str]:
    reference = service.operation(operation).get("input")
    shape: Mapping[str, Any] = service.shape(reference["shape"]) if reference else {}
    return frozenset(shape.get("required", ()))


def _in_output(service: Service, operation: str, member: str, shape: str) -> str | None:
    """Return where an answer holds what a member of the inverse wants; None if it does not.

    It is a field of the answer itself, or of the one object in it; a list of ids is made of the one
    list of objects that have such an id.
    """
    given = service.members(operation, "output")
    kind = service.shape(shape)["type"]
    if kind in {"structure", "map"}:
        return None
    if member in given and _kind(service, given[member]) == kind:
        return member
    if kind == "list":
        single = member.removesuffix("s")
        paths = [
            f"{name}.{single}"
            for name, inner in _lists_of_objects(service, given).items()
            if member.endswith("s") and single in inner
        ]
    else:
        paths = [
            f"{name}.{member}"
            for name, reference in given.items()
            if _kind(service, reference) == "structure"
            and member in (inner := service.shape(reference["shape"])["members"])
            and _kind(service, inner[member]) == kind
        ]
    return paths[0] if len(paths) == 1 else None


def _kind(service: Service, reference: Mapping[str, Json]) -> str:
    return service.shape(reference["shape"])["type"]


def _lists_of_objects(
    service: Service, members: Mapping[str, Json]
) -> dict[str, Mapping[str, Json]]:
    """Return the members that are lists of objects, each with the members of these."""
    found: dict[str, Mapping[str, Json]] = {}
    for name, reference in members.items():
        shape = service.shape(reference["shape"])
        if shape["type"] == "list" and _kind(service, shape["member"]) == "structure":
            found[name] = service.shape(shape["member"]["shape"])["members"]
    return found
