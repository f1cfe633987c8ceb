"""Creates, reads, updates and deletes AWS's resources through the Cloud Control API.

One API for all types: properties go there and come back as JSON. Whatever changes something is a
request that is carried out afterwards, and asked about until it has ended
(https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/resource-operations.html).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.difference import ANY, Change, Path, values_at
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.resource import Existing, Properties
from cloudflow_dagster.providers.aws.cloudcontrol_errors import (
    AGAIN,
    explained,
    of_failed_request,
)
from cloudflow_dagster.providers.aws.conversation import Conversation
from cloudflow_dagster.providers.aws.errors import answer_of, code_of
from cloudflow_dagster.providers.aws.models import load_service

SERVICE = "cloudcontrol"
TOKEN_REMEMBERED = 36 * 3600.0
"""Seconds for which a client token is valid, says the API's documentation."""
_UNDER_WAY = frozenset({"PENDING", "IN_PROGRESS", "CANCEL_IN_PROGRESS"})
_NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException"})
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 15.0, 1.6
_BUSY_TIMES = 40
"""How often a request is made while another one works on the resource; some nine minutes."""
_ATTEMPTS, _REMEMBERED_FAILURES = 3, 20


@dataclass(frozen=True, slots=True)
class CloudControl:
    """What is done with resources of one type.

    Attributes:
        type_name: CloudFormation's name of the type.
        node_type: Id of the node type, for messages.
        identifier: Paths of the properties that are the primary identifier.
        others: The same for other identifiers that are as good for reading.
        write_only: Paths of what is never given back.
        can_read: Whether the type can be read.
    """

    type_name: str
    node_type: str
    identifier: tuple[Path, ...]
    others: tuple[tuple[Path, ...], ...] = ()
    write_only: tuple[Path, ...] = ()
    can_read: bool = True

    def identify(self, properties: Properties) -> str | None:
        """Return the identifier in properties: the primary one, or another one as JSON."""
        if primary := self.primary(properties):
            return primary
        for paths in self.others:
            if (values := _values(properties, paths)) is not None:
                return json.dumps({path[-1]: value for path, value in values.items()})
        return None

    def primary(self, properties: Properties) -> str | None:
        """Return the primary identifier, if the properties tell it."""
        values = _values(properties, self.identifier)
        return None if values is None else "|".join(values.values())

    def read(self, call: Call, identifier: str) -> Existing | None:
        """Return a resource, or None if it is not there."""
        with self._explaining(call):
            if call.repeated:
                self._end_what_is_under_way(call, identifier)
            return self._get(call, identifier)

    def create(self, call: Call, wanted: Properties) -> Existing:
        """Create a resource and wait until it is there."""
        with self._explaining(call):
            request = {"DesiredState": json.dumps(wanted, sort_keys=True)}
            event = self._carry_out(call, "CreateResource", request)
            identifier = str(event.get("Identifier") or self.primary(wanted) or "")
            return self._as_it_is(call, identifier, event, wanted)

    def update(
        self, call: Call, existing: Existing, wanted: Properties, changes: Sequence[Change]
    ) -> Existing:
        """Change a resource and wait until it is changed."""
        patch = json.dumps(patch_of(changes, wanted, self.write_only), sort_keys=True)
        with self._explaining(call):
            request = {"Identifier": existing.identifier, "PatchDocument": patch}
            event = self._carry_out(call, "UpdateResource", request)
            return self._as_it_is(call, existing.identifier, event, wanted)

    def delete(self, call: Call, identifier: str) -> None:
        """Delete a resource and wait until it is gone."""
        with self._explaining(call):
            try:
                self._carry_out(call, "DeleteResource", {"Identifier": identifier})
            except NodeError as error:
                if error.code != "NotFound":
                    raise
                call.log.info(f"{self.type_name} `{identifier}` is gone already.")
            except Exception as error:
                if _code(error) != "ResourceNotFoundException":
                    raise
                call.log.info(f"{self.type_name} `{identifier}` is gone already.")

    def identifiers(self, call: Call) -> Iterator[str]:
        """Yield the identifiers of all resources of the type that there are."""
        with self._explaining(call):
            talk, more = self._talk(call), dict[str, Any]()
            while True:
                page = talk.ask("ListResources", {"TypeName": self.type_name, **more})
                for found in page["ResourceDescriptions"]:
                    yield str(found["Identifier"])
                if not page.get("NextToken"):
                    return
                more = {"NextToken": page["NextToken"]}

    def _get(self, call: Call, identifier: str) -> Existing | None:
        arguments = {"TypeName": self.type_name, "Identifier": identifier}
        try:
            answer = self._talk(call).ask("GetResource", arguments)
        except Exception as error:
            code = _code(error)
            # Not every type can be read by all of its identifiers.
            cannot = code == "InvalidRequestException" and identifier.startswith("{")
            if code != "ResourceNotFoundException" and not cannot:
                raise
            return None
        found = answer["ResourceDescription"]
        return Existing(
            str(found.get("Identifier") or identifier), _properties(found.get("Properties"))
        )

    def _as_it_is(
        self, call: Call, identifier: str, event: Mapping[str, Any], wanted: Properties
    ) -> Existing:
        """Return a resource after a request: read, or what the request says of it."""
        found = self._get(call, identifier) if self.can_read else None
        return found or Existing(identifier, _properties(event.get("ResourceModel")) or wanted)

    def _carry_out(
        self, call: Call, operation: str, arguments: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Make a request and wait until it has succeeded; return what is said of it then.

        A request with the client token of an earlier one is that one, also if it failed: so each
        attempt after a failure takes the next token. Whoever repeats all this after an interruption
        comes past the failures to the request that is still under way, or has succeeded.
        """
        talk, failed = self._talk(call), 0
        for n in count():
            token = _token(call, operation, arguments, n)
            event = self._begin(call, talk, operation, {**arguments, "ClientToken": token})
            remembered = event["OperationStatus"] not in _UNDER_WAY
            event = self._ended(call, talk, event)
            if event["OperationStatus"] == "SUCCESS":
                return event
            error = of_failed_request(self.type_name, event)
            if remembered and n < _REMEMBERED_FAILURES:
                continue
            failed += 1
            if error.code not in AGAIN or failed == _ATTEMPTS:
                raise error
            call.log.info(f"{operation}: {error.code}; again.")
            call.sleep(_pause(failed))
        raise AssertionError  # there is no last one

    def _begin(
        self, call: Call, talk: Conversation, operation: str, arguments: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Make a request, when no other one works on the same resource any more."""
        busy = 0
        while True:
            try:
                answer = talk.ask(operation, {"TypeName": self.type_name, **arguments})
            except Exception as error:
                busy += 1
                if _code(error) != "ConcurrentOperationException" or busy == _BUSY_TIMES:
                    raise
                call.log.debug(f"{operation}: another request works on it; again.")
                call.sleep(_pause(busy))
            else:
                return answer["ProgressEvent"]

    def _ended(self, call: Call, talk: Conversation, event: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = 0
        while event["OperationStatus"] in _UNDER_WAY:
            asked += 1
            call.sleep(_until(event.get("RetryAfter")) or _pause(asked))
            token = {"RequestToken": event["RequestToken"]}
            event = talk.ask("GetResourceRequestStatus", token)["ProgressEvent"]
        return event

    def _end_what_is_under_way(self, call: Call, identifier: str) -> None:
        """Wait for requests that an interrupted run made, so that nothing half-made is read."""
        talk, more = self._talk(call), dict[str, Any]()
        filtered = {"OperationStatuses": ["PENDING", "IN_PROGRESS"]}
        while True:
            asked = {"ResourceRequestStatusFilter": filtered, **more}
            try:
                page = talk.ask("ListResourceRequests", asked)
            except Exception as error:
                if _code(error) not in _NOT_ALLOWED:
                    raise
                call.log.warning("cloudformation:ListResourceRequests is not allowed: not waited.")
                return
            for event in page["ResourceRequestStatusSummaries"]:
                same = event.get("Identifier") in {None, identifier}
                if same and event.get("TypeName") == self.type_name:
                    self._ended(call, talk, event)
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def _talk(self, call: Call) -> Conversation:
        return Conversation(call, call.login("aws"), load_service(SERVICE))

    @contextmanager
    def _explaining(self, call: Call) -> Generator[None]:
        started = time.monotonic()
        try:
            yield
        except (NodeError, Canceled):
            raise
        except Exception as error:
            why = explained(error, self.type_name, self.node_type, call.login("aws"))
            if why is None:
                raise
            raise why from error
        finally:
            call.log.debug(f"{self.type_name}: {time.monotonic() - started:.2f} s")


def patch_of(
    changes: Sequence[Change], wanted: Properties, write_only: Sequence[Path]
) -> list[dict[str, Json]]:
    """Return the JSON Patch (RFC 6902) that makes changes.

    `add` replaces what is there, so that the same patch may be applied twice. Write-only properties
    are sent along: a resource's other properties cannot be updated without them.
    """
    patch: dict[str, Json] = {_pointer(change.path): change.after for change in changes}
    for path in write_only:
        known = path[: path.index(ANY)] if ANY in path else path
        for value in values_at(dict(wanted), known):
            if not any(_pointer(known).startswith(sent) for sent in patch):
                patch[_pointer(known)] = value
    return [{"op": "add", "path": pointer, "value": value} for pointer, value in patch.items()]


def _pointer(path: Path) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _values(properties: Properties, paths: tuple[Path, ...]) -> dict[Path, str] | None:
    """Return the values at the paths; None if one is missing."""
    found: dict[Path, str] = {}
    for path in paths:
        values = values_at(dict(properties), path)
        if len(values) != 1 or not isinstance(values[0], str | int) or values[0] == "":
            return None
        found[path] = str(values[0])
    return found


def _properties(text: Any) -> dict[str, Json]:
    found: Json = json.loads(text) if text else {}
    return cast("dict[str, Json]", found) if isinstance(found, dict) else {}


def _token(call: Call, operation: str, arguments: Mapping[str, str], n: int) -> str:
    """Return a request's client token: the same whenever the same is asked for again."""
    said = json.dumps([call.token, operation, arguments, n], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _pause(times: int) -> float:
    """Return the seconds to wait after having asked so many times."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * _GROWTH ** (times - 1))


def _until(moment: Any) -> float | None:
    """Return the seconds until AWS wants to be asked again, if it says when."""
    if not isinstance(moment, datetime):
        return None
    left = (moment - datetime.now(UTC)).total_seconds()
    return min(_LONGEST_PAUSE, left) if left > 0 else None


def _code(error: Exception) -> str | None:
    answer = answer_of(error)
    return code_of(answer) if answer else None
