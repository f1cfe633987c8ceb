"""Which resources an action must be allowed on, from what a node's config says literally.

IAM's list gives the types of resource that an action may be limited to, and the pattern of their
ARNs: `arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}`. A field of the config fits
a variable of the pattern by its name (`InstanceIds`), or is the ARN itself. Where nothing fits, the
variable becomes `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers.aws.permissions.definition import action_named, iam_service

EVERYTHING = ("*",)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SUFFIX = re.compile(r"(?:WithPath|WithoutLeadingSlash)$")
_KIND = re.compile(r"(?:name|identifier|id|arn|url)$")
_ONE_STAR = r"\1*"
_MANY = 8
"""Types of resource from which on it is not tried to name them all."""
_ALIASES: Mapping[tuple[str, str], str] = {("s3", "objectname"): "key"}
_NEVER = re.compile(r"(?!)")
_RARE: Mapping[str, re.Pattern[str]] = {"s3": re.compile("accesspoint")}
"""Types of resource that are left out unless the config names one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node works; None: not known before it runs.

    Attributes:
        region: Such as `eu-west-1`.
        account: Twelve digits.
    """

    region: str | None = None
    account: str | None = None

    @property
    def partition(self) -> str:
        """The partition that the region belongs to."""
        region = self.region or ""
        if region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if region.startswith("us-gov-") else "aws"


@dataclass(frozen=True, slots=True)
class _Literals:
    """What stands in a config.

    Attributes:
        values: Texts by the names of their fields, in small letters, in the singular; expressions
            inside them are `*`.
        hidden: The fields whose whole text is an expression.
    """

    values: Mapping[str, tuple[str, ...]]
    hidden: frozenset[str]

    @property
    def arns(self) -> Iterator[str]:
        """All texts that are ARNs."""
        for texts in self.values.values():
            yield from (text for text in texts if text.startswith("arn:"))


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
    if permission.dependent and found is not None and found.level == "Tagging":
        prefix = permission.action.partition(":")[0]
        made = [each for each in calls if _makes(each, prefix)]
        arns = {arn for each in made for arn in resources_for(each, config, place)}
        return EVERYTHING if "*" in arns or not arns else tuple(sorted(arns))
    return _resources(permission.action, config, place, own=not permission.dependent)


def _makes(call: Permission, prefix: str) -> bool:
    action = action_named(call.action)
    return (
        not call.dependent
        and action is not None
        and action.level == "Write"
        and action.name.startswith(f"{prefix}:")
    )


def _resources(
    action: str, config: Mapping[str, Json], place: Place, *, own: bool
) -> tuple[str, ...]:
    found = action_named(action)
    service = iam_service(action.partition(":")[0])
    if found is None or service is None or not found.resources:
        return EVERYTHING
    literals = _literals(config)
    if any(name.endswith(("arn", "url")) for name in literals.hidden):
        place = Place()  # it may name something of another account or region
    rare = _RARE.get(service.prefix, _NEVER)
    named: dict[str, list[str]] = {}
    for type in found.resources:
        pattern = service.arns.get(type, "*")
        arns = [arn for arn in literals.arns if _like(pattern).fullmatch(arn)]
        if not arns and not rare.search(type):
            arns = _named(pattern, _Wanted(type, action, own), literals, place)
        if arns:
            named[type] = arns
    types = [type for type in found.resources if type in named or not rare.search(type)]
    if named and not any(found.resources.values()):
        types = list(named)  # one of several alternatives
    if not named and len(types) > _MANY:
        return EVERYTHING
    arns = {
        arn
        for type in types
        for arn in named.get(type) or [_filled(service.arns.get(type, "*"), {}, place)]
    }
    return EVERYTHING if "*" in arns else tuple(sorted(arns))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What fields are looked for.

    Attributes:
        type: The type of resource.
        action: The action that is allowed on it.
        own: Whether it is what the node calls, so that a mere `Name` is that of its resource.
    """

    type: str
    action: str
    own: bool

    def fits(self, variable: str, field: str) -> bool:
        """Whether a field of the config gives a variable of the type's ARN."""
        prefix, _, name = self.action.lower().partition(":")
        wanted = _SUFFIX.sub("", variable).lower()
        type = re.sub(r"[^a-z0-9]", "", self.type.lower())
        if field in {wanted, f"{type}{wanted}", _ALIASES.get((prefix, wanted))}:
            return True
        stem = _KIND.sub("", field)
        if stem:  # `Volume`, `VolumeId` or `VolumeIdentifier`
            return stem == _KIND.sub("", wanted)
        # `Name` of `ssm:GetParameter` is `ParameterName`.
        rest = wanted.removesuffix(field)
        return self.own and rest != wanted and (rest == type or rest in name)


def _named(pattern: str, wanted: _Wanted, literals: _Literals, place: Place) -> list[str]:
    """Return the ARNs of one type of resource that a config names; none if it names none."""
    choices: dict[str, tuple[str, ...]] = {}
    for variable in _VARIABLE.findall(pattern):
        if variable not in {"Partition", "Region", "Account"}:
            values = _values(variable, wanted, literals)
            if values:
                choices[variable] = values
    if not choices:
        return []
    return [
        variant
        for chosen in product(*choices.values())
        for variant in _variants(
            _filled(pattern, dict(zip(choices, chosen, strict=True)), place),
            qualified="qualifier" in literals.values or "qualifier" in literals.hidden,
        )
    ]


def _values(variable: str, wanted: _Wanted, literals: _Literals) -> tuple[str, ...]:
    """Return the texts of the field that fits a variable, as they stand in an ARN."""
    prefix = wanted.action.partition(":")[0]
    for field, texts in literals.values.items():
        if wanted.fits(variable, field):
            found = [_written(prefix, variable, text) for text in texts]
            return tuple(text for text in found if text is not None)
    return ()


def _written(prefix: str, variable: str, text: str) -> str | None:
    """Return a field's text as it stands in an ARN; None if it is something else."""
    if text.startswith("arn:") or (prefix == "kms" and text.startswith("alias/")):
        return None
    if "://" in text:  # a queue's address ends with its name
        return text.rpartition("/")[2]
    if variable.endswith("WithoutLeadingSlash"):
        return text.lstrip("/")
    if (prefix, variable) == ("secretsmanager", "SecretId"):
        return f"{text}-??????"  # what Secrets Manager puts behind the name
    if variable.endswith("WithPath"):
        return f"\0{text}"
    return text


def _variants(arn: str, *, qualified: bool) -> tuple[str, ...]:
    """Return the ARNs that one name may have: in a path, with a version, with what is inside."""
    if "\0" in arn:
        return (arn.replace("\0", ""), arn.replace("\0", "*/"))
    if re.fullmatch(r"arn:[^:]*:logs:[^:]*:[^:]*:log-group:[^:]*", arn):
        return (arn, f"{arn}:*")
    if qualified and ":lambda:" in arn:
        return (arn, f"{arn}:*")
    return (arn,)


def _filled(pattern: str, values: Mapping[str, str], place: Place) -> str:
    known = {
        "Partition": place.partition,
        "Region": place.region or "*",
        "Account": place.account or "*",
        **values,
    }
    filled = _VARIABLE.sub(lambda variable: known.get(variable[1], "*"), pattern)
    beginning, colon, inside = filled.rpartition(":")
    # `stack/*/*` allows no less than `stack/*`, which people read more easily.
    return f"{beginning}{colon}{re.sub(r'(^|/)[*]/[*/]*$', _ONE_STAR, inside)}"


@lru_cache(maxsize=512)
def _like(pattern: str) -> re.Pattern[str]:
    """Return what recognises the ARNs of a pattern."""
    parts = _VARIABLE.split(pattern)
    return re.compile(
        "".join(
            re.escape(part)
            if at % 2 == 0
            else "[^:]*"
            if part in {"Partition", "Region", "Account"}
            else ".+"
            for at, part in enumerate(parts)
        )
    )


def _literals(config: Mapping[str, Json]) -> _Literals:
    values: dict[str, list[str]] = {}
    hidden: set[str] = set()
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            inside = cast("Mapping[str, Any]", value)
            waiting += [(_plain(key), of) for key, of in inside.items()]
        elif isinstance(value, list):
            waiting += [(name, each) for each in cast("list[Any]", value)]
        elif isinstance(value, str):
            text = _EXPRESSION.sub("*", value)
            if text.strip("*") and not text.startswith("*"):
                values.setdefault(name, []).append(text)
            elif "{{" in value:
                hidden.add(name)
    # A field with several values of which one is hidden may name anything.
    sure = {name: tuple(texts) for name, texts in values.items() if name not in hidden}
    return _Literals(sure, frozenset(hidden))


def _plain(field: str) -> str:
    return field.replace("_", "").lower().removesuffix("s")
