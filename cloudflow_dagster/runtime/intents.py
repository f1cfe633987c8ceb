"""What a run is about to change outside, written down before it does, and what came of it.

An intent is the memory of one call: a node, the indices of the loops around it and the round of
`until`, in the run that first attempted the call. The call's idempotency token is made of just
these, so that all runs that go on with that run (and none that does everything anew) find the same
intent and send the same token.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.database import Database, RecordsError
from cloudflow_dagster.runtime.record import RecordKey, to_text

State = Literal["open", "unsure", "asked", "refused", "done"]
"""`open`: the call was about to be made, and nothing is known since. `unsure`: the attempt ended
without an answer that tells. `asked`: so a person is asked. `refused`: it was not carried out.
`done`: it was."""

_OF_CALL = "run = (SELECT n FROM runs WHERE id = ?) AND node = ? AND items = ? AND round = ?"
_COLUMNS = (
    "run, node, items, round, by_run, began, action, request, exact, print, state, output, answer"
)


class TakenOver(RecordsError):  # noqa: N818 - it says what happened
    """Another run goes on with what this one did, because this one was found dead."""


class CallKey(NamedTuple):
    """Which call of a line of runs.

    Attributes:
        root: The run that first attempted it.
        node: The node.
        indices: Of the loops around it, the outermost first.
        round: Of `until`, from 0.
    """

    root: str
    node: str
    indices: tuple[int, ...] = ()
    round: int = 0

    @property
    def record(self) -> RecordKey:
        """Where the record of the call's step stands."""
        return RecordKey(self.node, self.indices)

    @property
    def token(self) -> str:
        """The call's idempotency token, the same however often this very call is repeated."""
        items = ".".join(str(index) for index in self.indices)
        return hashlib.sha256(
            "\0".join((self.root, self.node, items, str(self.round))).encode()
        ).hexdigest()


class Settled(NamedTuple):
    """What came of a call: goes into the intent together with the step's record."""

    key: CallKey
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said about a call of which nobody knows whether it was carried out.

    Attributes:
        word: `done`: it was; `again`: it was not, make it.
        output: With `done`: what the node gave.
        by: Who said so.
        at: When, ISO 8601.
    """

    word: Literal["done", "again"]
    output: Json = None
    by: str = ""
    at: str = ""

    @classmethod
    def now(cls, word: Literal["done", "again"], output: Json = None) -> Answer:
        """Return the answer of the user of this process."""
        return cls(word=word, output=output, by=_user(), at=datetime.now(UTC).isoformat())


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A call that was about to be made.

    Attributes:
        key: Which.
        run: The run that attempted it last.
        began: When it did, in UTC.
        action: The node type.
        request: The config that was sent, as JSON without secrets. None once it is settled.
        exact: Whether the request is all that was sent: no secret in it, and not too long to keep.
        print: A hash of the whole config, so that another config is seen to be another.
        state: What is known of it.
        output: What it gave, where the step's record does not tell: in a round of `until`.
        answer: What a person said of it.
    """

    key: CallKey
    run: str
    began: datetime
    action: str
    request: str | None
    exact: bool
    print: str
    state: State
    output: str | None = None
    answer: Answer | None = None


class Intents:
    """The intents of one run and of those that it goes on with.

    Args:
        db: Where the records are.
        run: Id of the run.
        number: Its number there.
    """

    def __init__(self, db: Database, run: str, number: int) -> None:
        self._db = db
        self._run = run
        self._number = number

    def begin(self, intent: Intent) -> None:
        """Write an intent through to the disk; the call may be made when this returns.

        Raises:
            TakenOver: Another run goes on with this one: nothing may be changed here any more.
        """
        with self._db.write(through=True) as connection:
            check_not_taken_over(connection, self._number)
            # The first run of the line may have been killed before it wrote anything.
            connection.execute("INSERT OR IGNORE INTO runs (id) VALUES (?)", (intent.key.root,))
            connection.execute(
                f"INSERT OR REPLACE INTO intents ({_COLUMNS}) "  # noqa: S608 - constants
                "VALUES ((SELECT n FROM runs WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', "
                "NULL, NULL)",
                (
                    *_place(intent.key),
                    self._number,
                    intent.began.isoformat(),
                    intent.action,
                    intent.request,
                    intent.exact,
                    intent.print,
                ),
            )

    def find(self, key: CallKey) -> Intent | None:
        """Return what is known of a call."""
        condition = "r.id = ? AND i.node = ? AND i.items = ? AND i.round = ?"
        return next(self._select(condition, _place(key)), None)

    def last_round(self, key: CallKey) -> int:
        """Return the last round of a node's `until` that was begun; 0 if none was."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT MAX(round) FROM intents WHERE run = (SELECT n FROM runs WHERE id = ?) "
                "AND node = ? AND items = ?",
                _place(key)[:3],
            ).fetchone()
        return row[0] or 0

    def unsettled(self, root: str) -> list[Intent]:
        """Return the calls first attempted in a run of which nobody knows what came of them."""
        return list(self._select("r.id = ? AND i.state NOT IN ('done', 'refused')", (root,)))

    def settle(self, settled: Settled, output: str | None = None) -> None:
        """Note what came of a call, apart from its step's record.

        Args:
            settled: Which call, and what.
            output: What it gave, as JSON.
        """
        with self._db.write() as connection:
            settle(connection, self._number, settled, output)

    def answer(self, key: CallKey, answer: Answer) -> None:
        """Store what a person said of a call.

        Args:
            key: Which call.
            answer: What was said. It holds until the call is made again, or its step has ended.
        """
        with self._db.write(through=True) as connection:
            connection.execute(
                f"UPDATE intents SET answer = ? WHERE {_OF_CALL}",  # noqa: S608 - a constant
                (to_text(asdict(answer)), *_place(key)),
            )

    def _select(self, condition: str, values: tuple[Any, ...]) -> Iterator[Intent]:
        with self._db.read() as connection:
            rows = connection.execute(f"{_JOINED} {condition}", values).fetchall()
        return map(_to_intent, rows)


_JOINED = (
    "SELECT r.id, i.node, i.items, i.round, b.id, i.began, i.action, i.request, i.exact, i.print, "
    "i.state, i.output, i.answer FROM intents i JOIN runs r ON r.n = i.run "
    "LEFT JOIN runs b ON b.n = i.by_run WHERE"
)


def check_not_taken_over(connection: Any, number: int) -> None:
    """See within a transaction that nobody goes on with a run.

    Raises:
        TakenOver: Another run does: nothing may be changed by this one any more.
    """
    successor = connection.execute("SELECT successor FROM runs WHERE n = ?", (number,)).fetchone()
    if successor is None or successor[0] is not None:
        raise TakenOver(
            f"The run was taken for dead and {successor[0] if successor else 'another'} "
            "goes on with it, so this one stops before it changes anything more."
        )


def settle(connection: Any, number: int, settled: Settled, output: str | None = None) -> None:
    """Note what came of a call, within a transaction.

    Args:
        connection: Of the transaction.
        number: Of the run that made the call.
        settled: Which call, and what came of it.
        output: What it gave, as JSON, if the step's record will not tell.
    """
    known = settled.state in {"done", "refused"}
    connection.execute(
        "UPDATE intents SET state = ?, by_run = ?, output = ?, "  # noqa: S608 - a constant
        "request = CASE WHEN ? = 1 THEN NULL ELSE request END "
        f"WHERE {_OF_CALL}",
        (settled.state, number, output, known, *_place(settled.key)),
    )


def _place(key: CallKey) -> tuple[str, str, str, int]:
    return key.root, key.node, ".".join(map(str, key.indices)), key.round


def _to_intent(row: tuple[Any, ...]) -> Intent:
    root, node, items, round_, run, began, action, request, exact, print_, *end = row
    state, output, answer = end
    indices = tuple(int(part) for part in items.split(".")) if items else ()
    return Intent(
        key=CallKey(root, node, indices, round_),
        run=run or root,
        began=datetime.fromisoformat(began),
        action=action,
        request=request,
        exact=bool(exact),
        print=print_,
        state=state,
        output=output,
        answer=Answer(**json.loads(answer)) if answer else None,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "somebody"
