"""For how long AWS remembers an idempotency token.

Services differ from a minute to for ever, and most do not say. What a token's own documentation in
the model says is read there ("A client token is valid for 10 minutes", DynamoDB); EC2 says it
elsewhere: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html. Of the rest
nothing is known: `TOKEN_SECONDS`.
"""

from __future__ import annotations

import re

from cloudflow_dagster.nodes.spec import TOKEN_SECONDS
from cloudflow_dagster.providers.aws.models import Service
from cloudflow_dagster.providers.aws.text import plain
from cloudflow_dagster.providers.aws.tokens import tokens_of

_HOUR = 3600.0
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": _HOUR, "day": 24 * _HOUR}
_WORDS = {"one": 1, "two": 2, "five": 5, "eight": 8, "ten": 10}
_TIME = re.compile(rf"\b(\d+|{'|'.join(_WORDS)})[ -](second|minute|hour|day)s?\b", re.IGNORECASE)
_LONGEST = 10_000
"""Characters of a member's documentation that are read."""
_OF_SERVICE = {"ec2": 24 * _HOUR}
_OF_OPERATION = {
    # The name of an execution, which is not free again for 90 days after it has ended.
    ("stepfunctions", "StartExecution"): 90 * 24 * _HOUR,
}


def remembered(service: Service, operation: str) -> float | None:
    """Return for how many seconds a service certainly remembers an operation's token.

    Args:
        service: The service's model.
        operation: The API's own name of the operation.

    Returns:
        None: for ever. What stands for a token (`CallerReference`) is kept with what was made.
    """
    tokens = tokens_of(service, operation)
    if not tokens:
        return None
    said = [
        _number(number) * _SECONDS[unit.lower()]
        for member in tokens.values()
        for number, unit in _TIME.findall(plain(member.get("documentation"), _LONGEST))
    ]
    if said:
        # Of several times the shortest: another may be that of something else.
        return min(said)
    known = _OF_OPERATION.get((service.name, operation))
    return known or _OF_SERVICE.get(service.name, TOKEN_SECONDS)


def _number(text: str) -> int:
    return _WORDS[text.lower()] if text.lower() in _WORDS else int(text)
