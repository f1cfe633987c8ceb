"""The work of one step that is no loop: what comes before its attempts, between and after them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cloudflow_dagster.diagnostics.wording import sentence
from cloudflow_dagster.expressions import ExpressionError, evaluate_condition
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Behaviour, Chosen, Kind, Repeat
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.attempt import Attempt, RedactedLog, log_of, out_of_time
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Incoming, incoming
from cloudflow_dagster.runtime.intents import Settled
from cloudflow_dagster.runtime.once import Progress
from cloudflow_dagster.runtime.outcome import (
    Again,
    Done,
    Ending,
    after_failure,
    delivering,
    ending_of,
    given,
    is_final,
    json_text,
    worked_out,
)
from cloudflow_dagster.runtime.record import Given, Record
from cloudflow_dagster.runtime.retry import next_delay

_HEAVY = ("generic.http.", "generic.code", "flow.call", "logic.wait")


def execute(frame: Frame, step: Step, attempt: int, log: CallLog) -> Done | Again:
    """Execute a step that is no loop, in whatever frame."""
    frame.run.parking.pass_gate()
    own_log = log_of(frame, step, log)
    kept = _kept(frame, step)
    if kept is not None:
        own_log.info("Done already, by the run that is gone on with.")
        return Done(frame.write(step, kept), ending_of(step, kept))
    came_in = incoming(frame, step)
    if came_in is None:
        return skip(frame, step, own_log)
    done = without_work(frame, step, came_in, own_log)
    if done is not None:
        return done
    with frame.run.clock.doing(waits=step.behaviour is Behaviour.WAIT):
        return _Work(frame, step, came_in, attempt, own_log).do()


def _kept(frame: Frame, step: Step) -> Record | None:
    """Return the record of a step that ended in the run that is gone on with.

    The engine may not know of it: that run was killed before its history was written.
    """
    run = frame.run
    if frame.items or not run.records.lineage:
        return None
    kept = run.records.earlier(frame.key(step.id), run.owner(step))
    return kept if kept is not None and is_final(step, kept) else None


def skip(frame: Frame, step: Step, log: RedactedLog) -> Done:
    """End a step that nothing came into."""
    log.debug("Skipped: no edge into it delivered.")
    return Done(frame.write(step, Record("skipped"), soon=bool(frame.items)), Ending.SKIPPED)


def without_work(frame: Frame, step: Step, came_in: Incoming, log: RedactedLog) -> Done | None:
    """End a step whose handler is not called: a trigger, a disabled one, a pinned one.

    Returns:
        None if there is work to do.
    """
    run = frame.run
    soon = bool(frame.items)
    if step.kind is Kind.TRIGGER:
        if step.id != run.trigger_node or step.disabled:
            return skip(frame, step, log)
        event = run.redactor.value(run.seen_event)
        record = given(event, delivering(run, step, event, chosen=None), attempts=1)
        return Done(frame.write(step, record), Ending.OK)
    if step.disabled:
        log.info("Disabled: what came in is passed on.")
        ports = tuple(port for port in step.ports if port == step.first_port)
        return Done(frame.write(step, _passed_on(came_in, ports), soon=soon), Ending.OK)
    if run.pinned and step.pinned and step.kind is not Kind.CONDITION:
        log.info("Pinned: the pin stands for the node's output.")
        pin = run.redactor.value(step.pin)
        record = given(pin, delivering(run, step, pin, chosen=None))
        return Done(frame.write(step, record, soon=soon), Ending.OK)
    return None


def _passed_on(came_in: Incoming, ports: tuple[str, ...], attempts: int = 0) -> Record:
    """Return the record of a step whose output is what came in."""
    source = came_in.source or Given(json_text(came_in.value))
    return Record("success", source=source, ports=ports, attempts=attempts)


@dataclass(slots=True)
class _Rounds:
    """How far the rounds of `until` are.

    Attributes:
        since: `time.time()` of the first round: attempts may be in different processes.
        round: The number of the round, from 0.
    """

    since: float
    round: int = 0

    def state(self) -> dict[str, Json]:
        return {"since": self.since, "round": self.round}


@dataclass(frozen=True, slots=True)
class _Work:
    """One attempt at a step that calls its handler, with the bookkeeping around it."""

    frame: Frame
    step: Step
    came_in: Incoming
    attempt: int
    log: RedactedLog

    def do(self) -> Done | Again:
        records = self.frame.run.records
        if not self._light:
            # What the light steps before it gave is stored before anything happens outside.
            records.flush()
        rounds = self._rounds()
        attempt = Attempt(self.frame, self.step, self.came_in, self.log)
        try:
            output = self._rounds_of_work(attempt, rounds)
            record = self._success(output)
        except NodeError as error:
            return self._failed(error, rounds, attempt.progress)
        except Canceled:
            canceled = Record("canceled", attempts=self.attempt)
            self.frame.write(self.step, canceled, settled=attempt.progress.given_up())
            raise
        soon = bool(self.frame.items) and self._light
        stored = self.frame.write(
            self.step, record, soon=soon, settled=attempt.progress.succeeded()
        )
        return Done(stored, Ending.OK)

    @property
    def _light(self) -> bool:
        """Whether the step touches nothing outside the run, so that losing it costs nothing."""
        type_ = self.step.type
        own = type_.startswith(("generic.", "logic.", "flow."))
        return own and not type_.startswith(_HEAVY)

    def _rounds(self) -> _Rounds:
        """Return where the rounds go on: another attempt does not begin them anew."""
        if self.step.until is not None and self.attempt > 1:
            before = self.frame.run.records.own(self.frame.key(self.step.id))
            if before is not None and before.state:
                return _Rounds(before.state["since"], before.state["round"])
        return _Rounds(time.time(), self._round_of_earlier_run())

    def _round_of_earlier_run(self) -> int:
        """Return the round that an interrupted run was in, of a step that changes something."""
        records = self.frame.run.records
        if self.step.until is None or not records.lineage:
            return 0
        key = records.call_key(self.frame.key(self.step.id), self.frame.run.owner(self.step))
        return records.intents.last_round(key)

    def _rounds_of_work(self, attempt: Attempt, rounds: _Rounds) -> Json | Chosen:
        until = self.step.until
        if until is None:
            return attempt.work(self._deadline(self.step.timeout), 0)
        # A clock that was set back between two attempts gives no more time than there was.
        given = min(until.timeout, rounds.since + until.timeout - time.time())
        ends = time.monotonic() + given
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise self._until_timeout()
            output = self._round(attempt, rounds.round, left)
            if self._holds(attempt, output):
                return output
            self._keep_round(attempt, output)
            left = ends - time.monotonic()
            self.log.info(f"Round {rounds.round + 1}: `until` does not hold yet.")
            if self.frame.run.stop.wait(max(0.0, min(until.interval, left))):
                raise Canceled
            rounds.round += 1

    def _keep_round(self, attempt: Attempt, output: Json | Chosen) -> None:
        """Note what a round gave that is not the last: it is not done again."""
        settled = attempt.progress.succeeded()
        if settled is not None and not isinstance(output, Chosen):
            run = self.frame.run
            run.records.intents.settle(settled, run.redactor.json_text(json_text(output)))
            attempt.calls.clear()

    def _round(self, attempt: Attempt, round_: int, left: float) -> Json | Chosen:
        """Do one round, within the time of the attempt and of all rounds together."""
        timeout = self.step.timeout
        try:
            return attempt.work(self._deadline(min(left, timeout or left)), round_)
        except NodeError as error:
            if error.code == out_of_time(self.step).code and (timeout is None or left < timeout):
                raise self._until_timeout() from None
            raise

    @staticmethod
    def _deadline(seconds: float | None) -> float | None:
        return None if seconds is None else time.monotonic() + seconds

    def _holds(self, attempt: Attempt, output: Json | Chosen) -> bool:
        until = self.step.until
        if until is None or isinstance(output, Chosen):
            return True
        try:
            # As everybody else will see it: a message of the condition could cut a secret in two.
            scope = attempt.scope(self.frame.run.redactor.value(output))
            return evaluate_condition(until.condition, scope, attempt.secret)
        except ExpressionError as error:
            raise NodeError(
                "ExpressionError", f"`until.condition`: {error.message}", transient=False
            ) from None

    def _until_timeout(self) -> NodeError:
        seconds = self.step.until.timeout if self.step.until else 0
        return NodeError(
            "UntilTimeout", f"The condition of `until` did not hold within {seconds:g} s."
        )

    def _success(self, output: Json | Chosen) -> Record:
        run, step = self.frame.run, self.step
        if isinstance(output, Chosen):
            ports = delivering(run, step, None, chosen=output.port)
            if not ports:
                self.log.info(f"`{output.port}`: nothing is connected to that port.")
            if run.pinned and step.pinned:
                return given(run.redactor.value(step.pin), ports, attempts=self.attempt)
            return _passed_on(self.came_in, ports, self.attempt)
        return Record(
            "success",
            source=worked_out(run, self.frame.key(step.id), output),
            ports=delivering(run, step, output, chosen=None),
            attempts=self.attempt,
        )

    def _failed(self, error: NodeError, rounds: _Rounds, progress: Progress) -> Done | Again:
        run, step = self.frame.run, self.step
        settled = progress.failed(error)
        content = error_of(self.frame, step, error, self.attempt)
        try:
            transient = run.node_type(step).transient
        except NodeError:
            transient = frozenset[str]()
        delay = next_delay(step.retry, error, self.attempt, transient)
        if delay is not None and self._may_be_done(settled, progress):
            self.log.warning("No other attempt: this one may have been carried out after all.")
            delay = None
        if delay is not None:
            self.log.warning(
                f"Attempt {self.attempt} failed with {error.code}: {sentence(error.message)} "
                f"The next one starts in {delay:.3g} s."
            )
            state = rounds.state() if step.until else None
            record = Record("failure", error=content, attempts=self.attempt, state=state)
            return Again(delay, self.frame.write(step, record, settled=settled))
        return failed(self.frame, step, content, self.log, settled)

    def _may_be_done(self, settled: Settled | None, progress: Progress) -> bool:
        """Return whether another attempt could do something twice, and nobody asked for that."""
        retry = self.step.retry
        asked_for = retry is not None and retry.on is not None
        unsure = settled is not None and settled.state == "unsure"
        return unsure and progress.repeat is Repeat.ASK and not asked_for


def error_of(frame: Frame, step: Step, error: NodeError, attempts: int) -> dict[str, Json]:
    """Return an error as it is stored and carried by `error` ports."""
    redactor = frame.run.redactor
    request = error.provider_request_id
    return {
        "node": step.id,
        "code": redactor.text(error.code),
        "message": redactor.text(error.message),
        "provider_request_id": None if request is None else redactor.text(request),
        "attempts": attempts,
    }


def failed(
    frame: Frame,
    step: Step,
    error: dict[str, Json],
    log: RedactedLog,
    settled: Settled | None = None,
) -> Done:
    """End a step after its last attempt failed.

    Args:
        frame: Where it is executed.
        step: The step.
        error: Why.
        log: The step's log.
        settled: What came of its call.
    """
    ending, ports = after_failure(frame.run, step, error)
    goes_on = {
        Ending.CAUGHT: "The flow goes on at `error`.",
        Ending.CONTINUED: "The flow goes on (`on_error: continue`).",
    }
    log.warning(
        f"Failed with {error['code']}: {sentence(error['message'])} "
        f"{goes_on.get(ending, '')}".strip()
    )
    record = Record(
        "failure",
        has_output=ending is Ending.CONTINUED,
        ports=ports,
        error=error,
        attempts=int(error["attempts"]),
    )
    return Done(frame.write(step, record, settled=settled), ending)
