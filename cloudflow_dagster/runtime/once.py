"""Makes a call that changes something once, also when the run that made it was killed meanwhile.

What is to be asked for is written down before the call is made (`intents.py`), and what came of it
with the step's record. Whoever finds an intent without an end knows that the call may have been
carried out, and does what the node type says: asks for the very same again, with the same token;
looks for what it would have made; or lets a person say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudflow_dagster.diagnostics.wording import in_words
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Chosen, Handler, NodeType, Repeat
from cloudflow_dagster.plan import UNDO_PREFIX, Step
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.intents import CallKey, Intent, Settled, State
from cloudflow_dagster.runtime.outcome import MAYBE_DONE

LONGEST_REQUEST = 262_144
"""Characters of a request that are kept; a longer one can be compared, but not sent again as is."""
_SHOWN = 600
"""Characters of a request that a person is shown."""


@dataclass(slots=True)
class Progress:
    """How far the call of one attempt, or of one round of `until`, is.

    Attributes:
        key: Which call; None if it changes nothing.
        repeat: What is done about it after an interruption.
        state: None: nothing was asked for. `begun`: it is asked for. `made`: it gave something.
    """

    key: CallKey | None = None
    repeat: Repeat = Repeat.READ
    state: str | None = None

    def succeeded(self) -> Settled | None:
        """Return what to store with the record of a success."""
        return Settled(self.key, "done") if self.key else None

    def failed(self, error: NodeError) -> Settled | None:
        """Return what to store with the record of a failure."""
        if self.key is None or self.state is None:
            return None
        known: State = "unsure" if error.unsure or self.state == "made" else "refused"
        return Settled(self.key, known)

    def given_up(self) -> Settled | None:
        """Return what to store with the record of a step that was told to stop."""
        return Settled(self.key, "unsure") if self.key and self.state else None


@dataclass(frozen=True, slots=True)
class Once:
    """One call that changes something.

    Attributes:
        frame: Where the step is executed.
        node_type: Its node type.
        call: The call's surroundings.
        key: Which call it is.
        progress: Is told how far it is.
        given_up: Tells whether nobody waits for it any more.
    """

    frame: Frame
    node_type: NodeType
    call: Call
    key: CallKey
    progress: Progress
    given_up: Callable[[], bool]

    def do(self, handler: Handler, config: dict[str, Any]) -> Json | Chosen:
        """Make the call, or give what it gave when it was made before.

        Raises:
            NodeError: The call failed; or nobody knows whether it was carried out (`MaybeDone`).
            TakenOver: Another run goes on with this one.
        """
        before = self.frame.run.records.intents.find(self.key)
        if before is None or before.state == "refused":
            return self._make(handler, config)
        if before.state == "done":
            return self._given_before(before, config)
        return self._after_interruption(handler, config, before)

    def _make(
        self, handler: Handler, config: dict[str, Any], before: Intent | None = None
    ) -> Json | Chosen:
        if self.given_up():
            raise Canceled
        self.frame.run.records.intents.begin(self._intent(config, before))
        self.progress.state = "begun"
        # What somebody has undone by hand is undone.
        self.call.repeated = before is not None or self.key.node.startswith(UNDO_PREFIX)
        output = handler(self.call, config)
        self.progress.state = "made"
        return output

    def _intent(self, config: Mapping[str, Any], before: Intent | None) -> Intent:
        whole, clean = self._texts(config)
        return Intent(
            key=self.key,
            run=self.frame.run.id,
            # An answer to the first one may still be found later.
            began=before.began if before else datetime.now(UTC),
            action=self.node_type.id,
            request=clean[:LONGEST_REQUEST],
            exact=whole == clean and len(clean) <= LONGEST_REQUEST,
            print=hashlib.sha256(clean.encode()).hexdigest(),
            state="open",
        )

    def _texts(self, config: Mapping[str, Any]) -> tuple[str, str]:
        """Return a config as JSON, and the same without secrets."""
        whole = json.dumps(config, sort_keys=True, default=str, ensure_ascii=False)
        return whole, self.frame.run.redactor.text(whole)

    def _given_before(self, before: Intent, config: dict[str, Any]) -> Json | Chosen:
        """Return what the call gave in another run that goes on with the same one."""
        if before.output is not None:
            return json.loads(before.output)
        record = self.frame.run.records.of_run(before.run, self.key.record)
        if record is not None and record.status == "success":
            self.call.log.info(f"Done already, in the run {before.run}.")
            return record.output
        raise self._maybe_done(before, "what it gave is not stored any more", config)

    def _after_interruption(
        self, handler: Handler, config: dict[str, Any], before: Intent
    ) -> Json | Chosen:
        retried = before.state == "unsure" and before.run == self.frame.run.id
        if before.answer is not None:
            said = before.answer
            self.call.log.info(f"`{said.word}`, said {said.by} at {said.at}.")
            return said.output if said.word == "done" else self._make(handler, config)
        sent = self._as_sent(before, config)
        repeat = self.progress.repeat
        if sent is None and repeat is not Repeat.SAFE:
            raise self._maybe_done(before, "what is asked for now is not the same", config)
        if repeat is Repeat.TOKEN and self._may_be_forgotten(before):
            seconds = self.node_type.token_seconds or 0.0
            why = f"its idempotency token is certain to be remembered for {in_words(seconds)} only"
            raise self._maybe_done(before, why, config)
        match repeat:
            case Repeat.ASK if not retried:
                raise self._maybe_done(before, "it cannot be told, or asked for again", config)
            case Repeat.LOOKUP if self.node_type.look_up and sent is not None:
                found = self.node_type.look_up(self.call, sent, before.began)
                if found is not None:
                    self.call.log.info("Done already: what it made was found.")
                    return found.output
            case _:
                pass
        if not retried:
            self.call.log.info(f"Asked for again ({repeat}): the run {before.run} was interrupted.")
        return self._make(handler, config if sent is None else sent, before)

    def _may_be_forgotten(self, before: Intent) -> bool:
        """Return whether the provider may not know the call's token any more.

        A clock that was set back since does not make an old token a young one.
        """
        seconds = self.node_type.token_seconds
        if seconds is None:
            return False
        return abs((datetime.now(UTC) - before.began).total_seconds()) > seconds

    def _as_sent(self, before: Intent, config: dict[str, Any]) -> dict[str, Any] | None:
        """Return the config that was sent, or None if it is neither known nor the same as now."""
        if before.exact and before.request is not None:
            return json.loads(before.request)
        _, clean = self._texts(config)
        same = hashlib.sha256(clean.encode()).hexdigest() == before.print
        return config if same else None

    def _maybe_done(self, before: Intent, why: str, config: Mapping[str, Any]) -> NodeError:
        run, key = self.frame.run, before.key
        item = f" --item {'.'.join(map(str, key.indices))}" if key.indices else ""
        asked = before.request or self._texts(config)[1]
        shown = asked if len(asked) <= _SHOWN else f"{asked[:_SHOWN]}…"
        run.records.intents.settle(Settled(key, "asked"), before.output)
        command = f"cloudflow answer {run.id} {key.node}{item}"
        return NodeError(
            MAYBE_DONE,
            f"Nobody knows whether `{before.action}` was carried out: the run {before.run} asked "
            f"for it at {before.began:%Y-%m-%d %H:%M:%S} UTC and was interrupted before it had an "
            f"answer, and {why}. See for yourself, then say `{command} done` (with `--output` what "
            f"it gave) or `{command} again`; the run goes on. Asked for was: {shown}",
            transient=False,
        )


def progress_of(frame: Frame, step: Step, repeat: Repeat, round_: int) -> Progress:
    """Return the progress of a call that is about to be made."""
    if repeat is Repeat.READ:
        return Progress()
    key = frame.run.records.call_key(frame.key(step.id), frame.run.owner(step), round_)
    return Progress(key, repeat)
