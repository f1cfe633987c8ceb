"""What fields of a config give the parts of an ARN, and how their texts stand in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import Any, cast

from cloudflow_dagster.flow.model import Json

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SUFFIX = re.compile(r"(?:WithPath|WithoutLeadingSlash)$")
_KIND = re.compile(r"(?:name|identifier|id|arn|url)$")
_QUEUE = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(\d{12})/([\w.-]+)")
_ZONE = re.compile(r"(?:/hostedzone/)?([A-Z0-9]+)")
_CLUSTER = re.compile(r"arn:[^:]*:ecs:[^:]*:[^:]*:cluster/[^/]+")
_CONTENT = re.compile(
    r".*(?:body|document|policy)|comment|content|data|definition|description|detail|input|message"
    r"|payload|script|secretstring|subject|template|text|userdata|value"
)
"""Fields that hold what people write, in which an ARN names something else or nothing."""
_ONE_STAR = r"\1*"
_OF_THE_PLACE = frozenset({"Partition", "Region", "Account"})
_IN_SMALL_LETTERS = frozenset({"elasticache", "rds"})
"""Services that keep names in small letters, however they are written."""
_ALIASES: Mapping[tuple[str, str], str] = {("s3", "objectname"): "key"}
_ANYTHING = "*"


@dataclass(frozen=True, slots=True)
class Literals:
    """What stands in a config.

    Attributes:
        values: Texts by the names of their fields, in small letters, in the singular; expressions
            inside them are `*`. A mere `Name` has the name of what holds it before it.
        hidden: The fields of which a text is an expression and nothing else.
    """

    values: Mapping[str, tuple[str, ...]]
    hidden: frozenset[str]

    @property
    def arns(self) -> Iterator[str]:
        """All texts that are ARNs."""
        for texts in self.values.values():
            yield from (text for text in texts if _is_arn(text))

    @property
    def mixed(self) -> bool:
        """Whether a field has ARNs beside other texts."""
        return any(len({_is_arn(text) for text in texts}) > 1 for texts in self.values.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What fields are looked for.

    Attributes:
        type: The type of resource.
        action: The action that is allowed on it.
        own: Whether it is what the node calls, so that a mere `Name` is that of its resource.
    """

    type: str
    action: str
    own: bool

    @property
    def prefix(self) -> str:
        """The service's part of the action."""
        return self.action.partition(":")[0]

    def field_for(self, variable: str, literals: Literals, taken: Container[str]) -> str | None:
        """Return the field that gives a variable of the type's ARN; None if there is none.

        Args:
            variable: The variable.
            literals: Where.
            taken: Fields that are other variables of the same ARN.
        """
        fields = [each for each in (*literals.values, *literals.hidden) if each not in taken]
        wanted = _plain(_SUFFIX.sub("", variable))
        type = re.sub(r"[^a-z0-9]", "", self.type.lower())
        exact = (f"{type}{wanted}", _ALIASES.get((self.prefix, wanted)), wanted)
        if found := next((each for each in exact if each in fields), None):
            return found
        # `Volume`, `VolumeId` or `VolumeIdentifier`
        stem = _KIND.sub("", wanted)
        if found := next((each for each in fields if stem and _KIND.sub("", each) == stem), None):
            return found
        # `Name` of `ssm:GetParameter` is `ParameterName`.
        mere = fields if self.own else []
        return next((each for each in mere if self._is_mere(each, wanted, type)), None)

    def _is_mere(self, field: str, wanted: str, type: str) -> bool:
        if _KIND.sub("", field):
            return False
        rest = wanted.removesuffix(field)
        return rest != wanted and (rest == type or rest in self.action.partition(":")[2].lower())


@dataclass(frozen=True, slots=True)
class Named:
    """What a config names of one type of resource.

    Attributes:
        arns: Their ARNs; variables of the place are still in them.
        open: Parts of them for which the config has no field, not even with an expression.
        elsewhere: Whether it may be of another account or region, since an expression stands where
            ARNs do.
    """

    arns: tuple[str, ...]
    open: int = 0
    elsewhere: bool = False


def named_in(
    literals: Literals, pattern: str, wanted: Wanted, *, by_name: bool = True
) -> Named | None:
    """Return what is named of one type of resource; None if nothing is.

    Args:
        literals: What stands in the config.
        pattern: Of the type's ARNs: `arn:${Partition}:sqs:${Region}:${Account}:${QueueName}`.
        wanted: The type.
        by_name: Whether names count too, or ARNs alone.
    """
    arns = tuple(arn for arn in literals.arns if _like(pattern).fullmatch(arn))
    ask = by_name and (not arns or literals.mixed)
    named = _by_name(literals, pattern, wanted) if ask else None
    if not arns or named is None:
        return Named(arns) if arns else named
    return replace(named, arns=(*arns, *named.arns))


def _by_name(literals: Literals, pattern: str, wanted: Wanted) -> Named | None:
    variables = [each for each in _VARIABLE.findall(pattern) if each not in _OF_THE_PLACE]
    choices: dict[str, tuple[str, ...]] = {}
    elsewhere = False
    for variable in variables:
        taken = {_plain(other) for other in variables if other != variable}
        field = wanted.field_for(variable, literals, taken)
        if field in literals.hidden:
            choices[variable] = (_ANYTHING,)
            elsewhere = elsewhere or field.endswith(("arn", "url"))
        elif field is not None and (texts := _texts(literals.values[field], wanted, variable)):
            choices[variable] = texts
    if not choices:
        return None
    qualified = "qualifier" in literals.values or "qualifier" in literals.hidden
    arns = tuple(
        variant
        for chosen in product(*choices.values())
        for variant in _variants(
            filled(pattern, dict(zip(choices, chosen, strict=True))), qualified=qualified
        )
    )
    return Named(arns, len(variables) - len(choices), elsewhere)


def _texts(written: tuple[str, ...], wanted: Wanted, variable: str) -> tuple[str, ...]:
    """Return a field's texts as they stand in an ARN, without ARNs; none if that is not known."""
    read = _WRITTEN.get((wanted.prefix, variable), partial(_plainly, wanted.prefix, variable))
    found = [read(text) for text in written if not _is_arn(text) or _CLUSTER.fullmatch(text)]
    return () if None in found else tuple(text for text in found if text is not None)


def _zone(text: str) -> str | None:
    zone = _ZONE.fullmatch(text)
    return zone[1] if zone else None


_WRITTEN: Mapping[tuple[str, str], Callable[[str], str | None]] = {
    # What follows the colon is a revision, a version.
    ("ecs", "TaskDefinitionFamilyName"): lambda text: text.partition(":")[0],
    ("ssm", "ParameterNameWithoutLeadingSlash"): lambda text: text.lstrip("/").partition(":")[0],
    # A service's ARN has its cluster's name.
    ("ecs", "ClusterName"): lambda text: text.rpartition("/")[2],
    # The rules of this bus are called as if there were none.
    ("events", "EventBusName"): lambda text: None if text == "default" else text,
    ("kms", "Alias"): lambda text: text.removeprefix("alias/"),
    ("kms", "KeyId"): lambda text: None if text.startswith("alias/") else text,
    ("wafv2", "Scope"): lambda text: {"cloudfront": "global"}.get(text.lower(), text.lower()),
    # It may be the zone's name.
    ("route53", "Id"): _zone,
    # What Secrets Manager puts behind the name.
    ("secretsmanager", "SecretId"): lambda text: f"{text}-??????",
}
"""How a field's text stands in an ARN, where it is not as it is; None if it is something else."""


def _plainly(prefix: str, variable: str, text: str) -> str:
    if "://" in text:  # a queue's address ends with its name
        return text.rpartition("/")[2]
    if prefix in _IN_SMALL_LETTERS:
        return text.lower()
    if variable.endswith("WithoutLeadingSlash"):
        return text.lstrip("/")
    return f"\0{text}" if variable.endswith("WithPath") else text


def _variants(arn: str, *, qualified: bool) -> tuple[str, ...]:
    """Return the ARNs that one name may have: in a path, with a version, with what is inside."""
    if "\0" in arn:
        return (arn.replace("\0", ""), arn.replace("\0", "*/"))
    if re.fullmatch(r"arn:[^:]*:logs:[^:]*:[^:]*:log-group:[^:]*", arn):
        return (arn, f"{arn}:*")
    if qualified and ":lambda:" in arn:
        return (arn, f"{arn}:*")
    return (arn,)


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Return a pattern with values; `*` for all other variables but those of the place."""

    def value(variable: re.Match[str]) -> str:
        name = variable[1]
        return values.get(name, variable[0] if name in _OF_THE_PLACE else _ANYTHING)

    beginning, colon, inside = _VARIABLE.sub(value, pattern).rpartition(":")
    # `stack/*/*` allows no less than `stack/*`, which people read more easily.
    return f"{beginning}{colon}{re.sub(r'(^|/)[*]/[*/]*$', _ONE_STAR, inside)}"


def placed(arn: str, partition: str, region: str | None, account: str | None) -> str:
    """Return an ARN with what stands for the place; `*` for what is not known of that."""
    known = {
        "Partition": partition,
        "Region": region or _ANYTHING,
        "Account": account or _ANYTHING,
    }
    return _VARIABLE.sub(lambda variable: known.get(variable[1], variable[0]), arn)


@lru_cache(maxsize=512)
def _like(pattern: str) -> re.Pattern[str]:
    """Return what recognises the ARNs of a pattern."""
    parts = _VARIABLE.split(pattern)
    return re.compile(
        "".join(
            re.escape(part) if at % 2 == 0 else "[^:]*" if part in _OF_THE_PLACE else ".+"
            for at, part in enumerate(parts)
        )
    )


def literals_of(config: Mapping[str, Json]) -> Literals:
    """Return what stands literally in a config, at any depth."""
    values: dict[str, list[str]] = {}
    hidden: set[str] = set()
    tops = {_plain(name) for name in config}
    waiting: list[tuple[str, Any, int]] = [("", config, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping):
            inside = cast("Mapping[str, Any]", value)
            waiting += [
                (_inside(name, key), of, depth + 1)
                for key, of in inside.items()
                if not _CONTENT.fullmatch(_plain(key))
            ]
        elif isinstance(value, list):
            waiting += [(name, each, depth) for each in cast("list[Any]", value)]
        elif isinstance(value, str):
            text = _EXPRESSION.sub(_ANYTHING, value)
            # The zone of an alias is not the one that the record is in.
            aside = depth > 1 and name in tops and not _is_arn(text)
            if text.strip(_ANYTHING) and not text.startswith(_ANYTHING):
                if not aside:
                    values.setdefault(name, []).append(_with_its_account(text))
            elif "{{" in value and not aside:
                hidden.add(name)
    # A field with several values of which one is hidden may name anything.
    sure = {name: tuple(texts) for name, texts in values.items() if name not in hidden}
    return Literals(sure, frozenset(hidden))


def _inside(holder: str, field: str) -> str:
    """Return the name of a field in another one: the `Name` in `Bucket` is `bucketname`."""
    name = _plain(field)
    return name if _KIND.sub("", name) else f"{holder}{name}"


def _with_its_account(text: str) -> str:
    """Return the ARN of a queue for its address; any other text as it is."""
    queue = _QUEUE.fullmatch(text)
    if queue is None:
        return text
    region, account, name = queue.groups()
    return f"arn:${{Partition}}:sqs:{region}:{account}:{name}"


def _is_arn(text: str) -> bool:
    return text.startswith("arn:")


def _plain(field: str) -> str:
    return field.replace("_", "").lower().removesuffix("s")
