"""Which resources an action must be allowed on, from what a node's config says literally.

IAM's list gives the types of resource that an action may be limited to, and the pattern of their
ARNs: `arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}`. A field of the config fits
a variable of the pattern by its name (`InstanceIds`), or is the ARN itself. Where nothing fits, the
variable becomes `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers.aws.permissions.action import Action
from cloudflow_dagster.providers.aws.permissions.arn_parts import (
    Literals,
    Named,
    Wanted,
    filled,
    literals_of,
    named_in,
)
from cloudflow_dagster.providers.aws.permissions.definition import action_named
from cloudflow_dagster.providers.aws.permissions.place import Place

EVERYTHING = ("*",)
_SOURCE_BUCKET, _SOURCE_KEY = "SourceBucket", "SourceKey"
"""What curated types call the object that is copied."""
_COPY_SOURCE = "CopySource"
_SOURCE = frozenset({_SOURCE_BUCKET, _SOURCE_KEY, _COPY_SOURCE})
_MANY = 8
"""Types of resource from which on it is not tried to name them all."""
_NEVER = re.compile(r"(?!)")
_DOCUMENT = re.compile(r":ssm:.*:document/(?:\*|AWS)")
_RARE: Mapping[str, re.Pattern[str]] = {"s3": re.compile("accesspoint")}
"""Types of resource that are left out unless the config names one."""


def resources_for(
    permission: Permission,
    config: Mapping[str, Json],
    place: Place,
    calls: Iterable[Permission] = (),
) -> tuple[str, ...]:
    """Return the ARNs that something must be allowed on, sorted; `*` if that cannot be told.

    Args:
        permission: What must be allowed.
        config: The node's config, as written.
        place: Where the node works.
        calls: All that the node needs: what it makes is what it tags.
    """
    found = action_named(permission.action)
    if found is None:
        return EVERYTHING
    literals = literals_of(_seen_by(permission.action, config))
    question = _Question(found, literals, place, own=not permission.dependent)
    if found.level == "Tagging":
        made = _made_by(calls, found)
        if made:
            return _arns(question, _tagged(made, question), most=len(made))
        if permission.dependent:
            return EVERYTHING
    return _arns(question, found.resources)


def _seen_by(action: str, config: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what of a copy an action is about: its source is read, and its target written.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    if _COPY_SOURCE in config:
        bucket, key = _source_of(config[_COPY_SOURCE])
    elif config.keys() & _SOURCE:
        bucket, key = config.get(_SOURCE_BUCKET), config.get(_SOURCE_KEY)
    else:
        return config
    if action.startswith("s3:Get"):
        return {"Bucket": bucket, "Key": key}
    given = {name: value for name, value in config.items() if name not in _SOURCE}
    return given if given.keys() & {"Bucket", "BucketName"} else {"Bucket": bucket, **given}


def _source_of(source: Json) -> tuple[Json, Json]:
    """Return the bucket and the key of a copy's source, in any of the forms it may have."""
    if isinstance(source, dict):
        fields = cast("dict[str, Json]", source)
        return fields.get("Bucket"), fields.get("Key")
    if not isinstance(source, str) or source.startswith("{{"):
        return source, source
    bucket, _, key = source.lstrip("/").partition("?")[0].partition("/")
    return bucket, key


@dataclass(frozen=True, slots=True)
class _Question:
    """On what one action must be allowed for one node.

    Attributes:
        action: The action.
        literals: What the node names.
        place: Where it works.
        own: Whether it is what the node calls, so that a mere `Name` is that of its resource.
    """

    action: Action
    literals: Literals
    place: Place
    own: bool

    @property
    def prefix(self) -> str:
        """The service's part of the action."""
        return self.action.name.partition(":")[0]

    @property
    def surely_there(self) -> Place:
        """The place, or none where a field may name something of another account or region."""
        hidden = any(name.endswith(("arn", "url")) for name in self.literals.hidden)
        return self.place.elsewhere if hidden else self.place


def _made_by(calls: Iterable[Permission], tagging: Action) -> Mapping[str, bool]:
    """Return the types of resource that calls are about and that an action can put tags on.

    Returns:
        Whether a call is always about one of the type, by the type.
    """
    prefix = tagging.name.partition(":")[0]
    found: dict[str, bool] = {}
    for call in calls:
        action = action_named(call.action)
        if action is None or call.dependent or action.level != "Write":
            continue
        if action.name.startswith(f"{prefix}:"):
            for type, required in action.resources.items():
                if type in tagging.resources:
                    found[type] = required or found.get(type, False)
    return found


def _tagged(made: Mapping[str, bool], question: _Question) -> Mapping[str, bool]:
    """Return the types of resource that are tagged: without what is merely made use of, if known.

    What is made is always there and has a name. Without one it cannot be told from the others; but
    EC2 gives ids to what it makes, so that what has one in the config is made use of.
    """
    named = _names(question, made)
    if any(required and type not in named for type, required in made.items()):
        used = named if question.prefix == "ec2" else ()
        return {type: True for type in made if type not in used}
    return {type: required for type, required in made.items() if required or type in named}


def _arns(question: _Question, resources: Mapping[str, bool], most: int = _MANY) -> tuple[str, ...]:
    """Return the ARNs of types of resource, sorted; `*` if that cannot be told.

    Args:
        question: What must be allowed.
        resources: The types, and whether the request always has one of the type.
        most: If none of them is named, no more than so many are written out.
    """
    if not resources:
        return EVERYTHING
    rare = _RARE.get(question.prefix, _NEVER)
    named = _names(question, resources)
    types = [type for type in resources if type in named or not rare.search(type)]
    if named and not any(resources.values()):
        types = _meant(named)  # one of several alternatives
    if not named and len(types) > most:
        return EVERYTHING
    arns = {
        arn
        for type in types
        for arn in _placed(question, question.action.arns.get(type, "*"), named.get(type))
    }
    return EVERYTHING if "*" in arns else tuple(sorted(arns))


def _placed(question: _Question, pattern: str, named: Named | None) -> list[str]:
    """Return the ARNs of one type of resource; all of the type if none is named."""
    if named is None:
        return [question.surely_there.put(_of_anybody(filled(pattern, {})))]
    place = question.place.elsewhere if named.elsewhere else question.place
    return [place.put(_of_anybody(arn)) for arn in named.arns]


def _of_anybody(arn: str) -> str:
    """Return the ARN of a document of Systems Manager without its account: AWS has many itself."""
    return arn.replace("${Account}", "*") if _DOCUMENT.search(arn) else arn


def _names(question: _Question, resources: Iterable[str]) -> dict[str, Named]:
    """Return what is named of each type of resource, without the types of which nothing is."""
    rare = _RARE.get(question.prefix, _NEVER)
    named: dict[str, Named] = {}
    for type in resources:
        wanted = Wanted(type, question.action.name, question.own)
        by_name = rare.search(type) is None
        pattern = question.action.arns.get(type, "*")
        one = named_in(question.literals, pattern, wanted, by_name=by_name)
        if one is not None:
            named[type] = one
    return named


def _meant(named: Mapping[str, Named]) -> list[str]:
    """Return the types of which the config names the most, of those that are alternatives.

    With a service and its cluster the service is meant, and not any task in that cluster.
    """
    least = min(each.open for each in named.values())
    return [type for type, each in named.items() if each.open == least]
