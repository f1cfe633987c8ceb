"""Which waiters an operation can wait for, and with what they are asked.

botocore's models say how each waiter asks (`instance_running`: `DescribeInstances` until every
state is `running`), but not which ids to ask for after another operation. That follows from names:
`DescribeInstances` takes `InstanceIds`; `RunInstances` gives `Instances[].InstanceId`,
`StartInstances` takes `InstanceIds`. A waiter whose question cannot be derived is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.models import Service, load_service, snake_case

_VERB = re.compile(r"^(?:Describe|Get|Head|List)")
_IDENTIFIER = re.compile(r"(?:Id|Identifier|Arn|ARN|Name)s?$")
_NEVER_ALONE = re.compile(r"^(?:OwnerIds?|.*OwnerId|.*UserIds?)$")
_CONTEXT = re.compile(
    r"^(?:cluster|Targets|Instances|ExpectedBucketOwner|RequestPayer|SSECustomer(?:Algorithm|Key)"
    r"|VersionId|registryId|IndexName|Qualifier|workflowOwnerId)$"
)
"""Optional members that say where to look; all others could change what is waited for."""
_FIRST_WORD = re.compile(r"^[A-Z][a-z]+")
_AFTER = re.compile(r"(?:With[A-Z]\w*|Config\w*|Version|Settings|Attributes?|WebACL|Capacity)$")
_PART = re.compile(r"(?:Info|Description|Details?|Summary|Status)$")
_GENERIC = {"id", "name", "arn", "identifier"}
_SCALAR = "string"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value of a waiter's question is found.

    Attributes:
        side: In the operation's input or output.
        path: Names of members; where one holds a list, in each of its items.
    """

    side: Literal["input", "output"]
    path: tuple[str, ...]

    def read(self, given: Mapping[str, Json], got: Mapping[str, Json]) -> list[Json]:
        """Return all values found, in their order; none if there are none."""
        found: list[Json] = [given if self.side == "input" else got]
        for name in self.path:
            inner: list[Json] = [value[name] for value in found if name in value]
            found = [item for value in inner for item in _items(value)]
        return found


@dataclass(frozen=True, slots=True)
class Question:
    """A member of what a waiter asks.

    Attributes:
        member: The member of the waiter's operation.
        many: It takes a list.
        required: Without it the waiter cannot ask.
        sources: Where its value may be; the first that has one counts.
    """

    member: str
    many: bool
    required: bool
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """A waiter that an operation offers.

    Attributes:
        name: As in `wait_for`: `instance_running`.
        waiter: As in the model: `InstanceRunning`.
        operation: The operation that it asks, by the API's own name.
        questions: How its input is derived; None if it is the operation's own input.
    """

    name: str
    waiter: str
    operation: str
    questions: tuple[Question, ...] | None

    def inputs(
        self, given: Mapping[str, Json], got: Mapping[str, Json]
    ) -> list[dict[str, Json]] | None:
        """Return what to ask, one after the other, or None if a value is missing.

        Args:
            given: The operation's input.
            got: The operation's output.
        """
        if self.questions is None:
            return [dict(given)]
        fixed: dict[str, Json] = {}
        each: list[list[tuple[str, Json]]] = []
        for question in self.questions:
            found = (source.read(given, got) for source in question.sources)
            values: list[Json] = next((each for each in found if each), list[Json]())
            if not values:
                if question.required:
                    return None
            elif question.many:
                fixed[question.member] = values
            else:
                each.append([(question.member, value) for value in values])
        return [{**fixed, **dict(choice)} for choice in product(*each)]


@lru_cache(maxsize=1024)
def waits_of(service_name: str, operation: str) -> Mapping[str, Wait]:
    """Return the waiters that an operation offers, by their names in `wait_for`.

    Args:
        service_name: botocore's name of the service.
        operation: The API's own name of the operation.
    """
    service = load_service(service_name)
    found: dict[str, Wait] = {}
    derived: dict[str, tuple[Question, ...] | None] = {}
    for waiter, settings in sorted(service.waiters.items()):
        asked = settings["operation"]
        name = snake_case()(waiter)
        if asked == operation:
            found[name] = Wait(name, waiter, asked, None)
            continue
        if asked not in derived:
            derived[asked] = _Derivation(service, operation, asked).questions()
        questions = derived[asked]
        if questions is not None:
            found[name] = Wait(name, waiter, asked, questions)
    return found


class _Derivation:
    """Finds how the input of the operation `asked` follows from another operation."""

    def __init__(self, service: Service, operation: str, asked: str) -> None:
        self._service = service
        self._operation = operation
        self._asked = asked
        self._noun = _singular(_VERB.sub("", asked)).lower()

    def questions(self) -> tuple[Question, ...] | None:
        """Return how to ask, or None if it cannot be derived."""
        reference = self._service.operation(self._asked).get("input")
        if reference is None:
            return None
        shape = self._service.shape(reference["shape"])
        required = set(shape.get("required", ()))
        found: list[Question] = []
        for member in shape["members"]:
            if member in required:
                question = self._question(member, required=True)
                if question is None:
                    return None
                found.append(question)
        if not required:
            identifying = self._identifying(shape["members"])
            if identifying is None:
                return None
            found.append(identifying)
        context = (
            self._question(member, required=False)
            for member in shape["members"]
            if member not in required and _CONTEXT.match(member)
        )
        return (*found, *(question for question in context if question is not None))

    def _identifying(self, members: Mapping[str, Json]) -> Question | None:
        """Return the member that tells which things are asked for, where none is required."""
        candidates = [m for m in members if _IDENTIFIER.search(m) and not _NEVER_ALONE.match(m)]
        for member in sorted(candidates, key=self._preference):
            if question := self._question(member, required=True):
                return question
        return None

    def _preference(self, member: str) -> tuple[bool, int]:
        """Prefer ids of the very thing that is asked for, and ids to names."""
        kinds = ("id", "identifier", "arn", "name")
        lowered = _singular(member).lower()
        kind = next((i for i, kind in enumerate(kinds) if lowered.endswith(kind)), len(kinds))
        return (not lowered.startswith(self._noun), kind)

    def _question(self, member: str, *, required: bool) -> Question | None:
        settings = self._service.members(self._asked, "input")[member]
        shape = self._service.shape(settings["shape"])
        many = shape["type"] == "list"
        sources = tuple(self._sources(member, shape, many=many))
        return Question(member, many, required, sources) if sources else None

    def _sources(self, member: str, shape: Mapping[str, Json], *, many: bool) -> Iterator[Source]:
        for side in ("output", "input"):
            members = self._service.members(self._operation, side)
            same = members.get(member)
            if same and self._same_type(same["shape"], shape) and self._is_about(member):
                yield Source(side, (member,))
        item = self._service.shape(shape["member"]["shape"]) if many else shape
        if item["type"] != _SCALAR:
            return
        names = _spellings(member, many=many)
        for side in ("output", "input"):
            yield from self._in_members(side, names, flat=many)

    def _in_members(
        self, side: Literal["input", "output"], names: list[str], *, flat: bool
    ) -> Iterator[Source]:
        members = self._service.members(self._operation, side)
        for name in names:
            if flat and name in members and self._is_text(members[name]) and self._is_about(name):
                yield Source(side, (name,))
            plural = f"{name}s"
            if not flat and plural in members and self._is_texts(members[plural]):
                yield Source(side, (plural,))
        if side == "input":
            return
        for outer, settings in members.items():
            if inner := self._inside(outer, settings, names):
                yield Source(side, (outer, inner))

    def _inside(self, outer: str, settings: Mapping[str, Json], names: list[str]) -> str | None:
        """Return the member of a structure, or of a list's structures, that has the value."""
        shape = self._service.shape(settings["shape"])
        if shape["type"] == "list":
            shape = self._service.shape(shape["member"]["shape"])
        if shape["type"] != "structure":
            return None
        for name in names:
            for inner, inner_settings in shape["members"].items():
                if not self._is_text(inner_settings):
                    continue
                joined = f"{_singular(outer)}{inner}".lower() == name.lower()
                if joined or (inner == name and self._is_in(outer, inner)):
                    return inner
        return None

    def _is_about(self, member: str) -> bool:
        """Whether a name such as `Id`, which could be anything's, is that of what is asked for."""
        if _singular(member).lower() not in _GENERIC:
            return True
        words = _AFTER.sub("", _FIRST_WORD.sub("", self._operation))
        return _singular(words).lower() == self._noun

    def _is_in(self, outer: str, member: str) -> bool:
        """Whether a member of a structure is that of what is asked for, as in `_is_about`."""
        if _singular(member).lower() not in _GENERIC:
            return True
        return _singular(_PART.sub("", outer)).lower() == self._noun

    def _same_type(self, name: str, shape: Mapping[str, Json]) -> bool:
        other = self._service.shape(name)
        if other["type"] != shape["type"]:
            return False
        if shape["type"] != "list":
            return True
        return self._same_type(
            other["member"]["shape"], self._service.shape(shape["member"]["shape"])
        )

    def _is_text(self, settings: Mapping[str, Json]) -> bool:
        return self._service.shape(settings["shape"])["type"] == _SCALAR

    def _is_texts(self, settings: Mapping[str, Json]) -> bool:
        shape = self._service.shape(settings["shape"])
        return shape["type"] == "list" and (
            self._service.shape(shape["member"]["shape"])["type"] == _SCALAR
        )


def _items(value: Json) -> list[Json]:
    if isinstance(value, list):
        return cast("list[Json]", value)
    return [] if value is None else [value]


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word.removesuffix("s")


def _spellings(member: str, *, many: bool) -> list[str]:
    """Return the names under which one value for a member may be found elsewhere."""
    if not many:
        return [member]
    one = _singular(member)
    if _IDENTIFIER.search(member) or one.lower() in _GENERIC:
        return [one]
    return [f"{one}Arn", f"{one}Id", f"{one}Name", one]
