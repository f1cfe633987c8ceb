"""The texts of events are Dagster's own to the byte, whatever is in them."""

import enum
import logging
import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.metadata import PoolMetadataValue
from dagster._core.definitions.metadata.table import TableColumnConstraints
from dagster._core.events import EngineEventData
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value
from dagster_shared.serdes.errors import SerializationError

from cloudflow_dagster.engine import event_text
from cloudflow_dagster.engine.event_log import BatchedEventLog
from tests.unit.engine.conftest import Flows, breaks, value

ODD = 'of 100 %s {} "quoted" \\ \u00fc \U0001f600 \ud800 \x00 \x7f </script>'
TABLE = dg.TableSchema(
    columns=[
        dg.TableColumn("a", "int", description=ODD, tags={"k": "v"}),
        dg.TableColumn("b", constraints=TableColumnConstraints(nullable=False, other=["o"])),
    ]
)
LINEAGE = dg.TableColumnLineage({"a": [dg.TableColumnDep(dg.AssetKey("up"), "x")]})
METADATA: dict[str, Any] = {
    ODD: ODD,
    "int": 10**30,
    "float": 1e-7,
    "nan": math.nan,
    "infinite": -math.inf,
    "bool": True,
    "none": None,
    "json": {"b": [1, {"z": None, "a": [True, 0.1, ODD]}], "a": {}, "%s": "%d"},
    "list": [],
    "url": dg.MetadataValue.url("https://example.com/?a=%20"),
    "path": dg.MetadataValue.path("/tmp/a"),
    "notebook": dg.MetadataValue.notebook("/tmp/a.ipynb"),
    "markdown": dg.MetadataValue.md("# a"),
    "artifact": dg.MetadataValue.python_artifact(dict),
    "asset": dg.MetadataValue.asset(dg.AssetKey(["a", "b"])),
    "job": dg.MetadataValue.job("job", location_name="there"),
    "run": dg.MetadataValue.dagster_run("3d7f1f5c-0000-4000-8000-000000000001"),
    "time": dg.MetadataValue.timestamp(12.5),
    "table": dg.MetadataValue.table([dg.TableRecord({"a": 1, "b": "x"})], TABLE),
    "schema": dg.MetadataValue.table_schema(TABLE),
    "lineage": dg.MetadataValue.column_lineage(LINEAGE),
    "pool": PoolMetadataValue("pool"),
}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dg.EventLogEntry, Any, Any]]:
    """Every event that is logged, with the row that we write of it and the one of Dagster's."""
    found: list[tuple[dg.EventLogEntry, Any, Any]] = []
    ours = BatchedEventLog._event_to_row
    dagsters = SqlEventLogStorage._event_to_row

    def both(self: BatchedEventLog, event: dg.EventLogEntry) -> Any:
        row = ours(self, event)
        found.append((event, row, dagsters(self, event)))
        return row

    monkeypatch.setattr(BatchedEventLog, "_event_to_row", both)
    return found


def kinds(rows: list[tuple[dg.EventLogEntry, Any, Any]]) -> set[str]:
    """Assert that both rows are the same for each event; return the kinds of the events."""
    for event, ours, dagsters in rows:
        assert ours == dagsters, event
        assert list(ours) == list(dagsters)
    return {ours["dagster_event_type"] or "a line" for _, ours, _ in rows}


@dg.failure_hook
def breaking(context: dg.HookContext) -> None:
    raise ValueError(ODD)


@dg.success_hook
def working(context: dg.HookContext) -> None:
    context.log.info("worked")


@dg.resource
def resource() -> str:
    return "made"


@dg.resource
def broken_resource() -> str:
    raise ValueError(ODD)


@dg.op(
    out={"a": dg.Out(), "b": dg.Out(is_required=False), "c": dg.DynamicOut()},
    required_resource_keys={"made"},
    tags={"tag": ODD},
)
def tells(context: dg.OpExecutionContext) -> Iterator[Any]:
    context.log.warning(ODD)
    logging.getLogger("dagster").info("of Dagster")
    yield dg.AssetMaterialization("asset", ODD, METADATA, partition="p", tags={"t": "v"})
    yield dg.AssetObservation(["an", "asset"], ODD, METADATA, partition="p")
    yield dg.ExpectationResult(success=False, label="l", description=ODD, metadata=METADATA)
    yield dg.Output([1], "a", metadata=METADATA)
    yield dg.DynamicOutput(1, "x", "c", metadata={"n": 1})
    yield dg.DynamicOutput(2, "y", "c")


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def fails(context: dg.OpExecutionContext, n: int) -> None:
    raise dg.Failure(ODD, METADATA) from KeyError(ODD)


@dg.op
def after(given: Any) -> None: ...


@dg.job(resource_defs={"made": resource}, hooks={breaking, working})
def rich() -> None:
    a, b, c = tells()
    after(a)
    after.alias("skipped")(b)
    c.map(fails)


@dg.job(resource_defs={"made": broken_resource})
def without_resource() -> None:
    tells()


@dg.asset(
    check_specs=[dg.AssetCheckSpec("check", asset="checked")],
    partitions_def=dg.StaticPartitionsDefinition(["one"]),
)
def checked() -> Iterator[Any]:
    yield dg.AssetCheckResult(
        passed=False, metadata=METADATA, severity=dg.AssetCheckSeverity.WARN, description=ODD
    )
    yield dg.MaterializeResult(metadata=METADATA)


OF_RICH = {
    "a line",
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "HOOK_COMPLETED",
    "HOOK_ERRORED",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "PIPELINE_FAILURE",
    "PIPELINE_START",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_EXPECTATION_RESULT",
    "STEP_FAILURE",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_RESTARTED",
    "STEP_SKIPPED",
    "STEP_START",
    "STEP_SUCCESS",
    "STEP_UP_FOR_RETRY",
}


@pytest.mark.filterwarnings("ignore:Class `ExpectationResult` is deprecated")
def test_events_of_jobs_by_hand(instance: dg.DagsterInstance, rows: list[Any]) -> None:
    assert not rich.execute_in_process(instance=instance, raise_on_error=False).success
    assert kinds(rows) >= OF_RICH, OF_RICH - kinds(rows)

    rows.clear()
    without_resource.execute_in_process(instance=instance, raise_on_error=False)
    assert "RESOURCE_INIT_FAILURE" in kinds(rows)

    rows.clear()
    assert dg.materialize([checked], instance=instance, partition_key="one").success
    assert kinds(rows) >= {"ASSET_CHECK_EVALUATION", "ASSET_MATERIALIZATION_PLANNED"}


def test_events_that_an_instance_reports(
    instance: dg.DagsterInstance, rows: list[Any], project: object
) -> None:
    run = instance.create_run_for_job(without_resource)
    instance.report_engine_event(ODD, run, EngineEventData(METADATA))
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    instance.wipe_assets([dg.AssetKey("asset")])
    told = kinds(rows)
    assert told >= {"ENGINE_EVENT", "PIPELINE_CANCELING", "PIPELINE_CANCELED"}


def test_events_of_flows_are_all_known(
    flows: Flows, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    flows.write(
        "rich",
        [
            {"id": "start", "type": "trigger.manual"},
            value("a", {"deep": [1, ODD.replace("\ud800", "").replace("\x00", "")]}),
            {"id": "each", "type": "logic.loop", "config": {"items": "{{ [1, 2] }}"}},
            value("square", "{{ item * item }}"),
            breaks("caught", on_error="continue"),
        ],
        ["start > a", "a > each", "each.item > square", "each.done > caught"],
    )
    given: list[type] = []

    def dagsters(part: Any) -> str:
        given.append(type(part))
        return serialize_value(part)

    # As a process does that writes its first event.
    known = {*event_text._WRITERS} & {str, int, float, bool, type(None), list, dict}
    plain = {kind: event_text._WRITERS[kind] for kind in (*known, dg.JsonMetadataValue)}
    monkeypatch.setattr(event_text, "_WRITERS", event_text._Writers(plain))
    monkeypatch.setattr(event_text, "serialize_value", dagsters)
    flows.run("rich")

    assert kinds(rows) >= {"STEP_START", "STEP_OUTPUT", "STEP_SUCCESS", "PIPELINE_SUCCESS"}
    assert not given


class _Text(str): ...


class _Unknown(enum.Enum):
    A = 1


def entry(part: Any) -> dg.EventLogEntry:
    """Return an event with a part that no event has, as a tuple does not ask."""
    made = dg.EventLogEntry(None, 10, "m", "r", 1.0, None, None, None)
    return made._replace(error_info=part)


@pytest.mark.parametrize(
    "part",
    [
        {1: "a", 2: "b"},
        {True: 1},
        {"b": 1, "a": {"d": (1, [2]), "c": {}}},
        (1, "a"),
        b"bytes",
        _Text("a"),
        {_Text("b"): 1, "a": 2},
        MappingProxyType({"b": 1, "a": 2}),
        {"a", "b"} - {"b"},
        frozenset({1}),
        dg.AssetCheckSeverity.ERROR,
        dg.DagsterEventType.STEP_START.value,
        [-0.0, 1e22, -1, 0.1 + 0.2, math.inf],
        TABLE,
    ],
    ids=lambda part: type(part).__name__,
)
def test_parts_of_other_kinds(part: Any) -> None:
    assert event_text.event_text(entry(part)) == serialize_value(entry(part))


@pytest.mark.parametrize(
    "part", [object(), _Unknown.A, {"a": [range]}], ids=lambda part: type(part).__name__
)
def test_what_dagster_refuses_is_refused(part: Any) -> None:
    with pytest.raises(SerializationError):
        serialize_value(entry(part))
    with pytest.raises(SerializationError):
        event_text.event_text(entry(part))
