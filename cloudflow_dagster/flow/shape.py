"""The rules of the shape of a flow: its fields, their types and values, and its ids."""

from __future__ import annotations

from cloudflow_dagster.diagnostics.model import Rule

_RIGHT = '{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}'

NO_OBJECT = Rule(
    "CF1001",
    "The file does not hold an object",
    "A flow is one JSON object with `version` and `nodes`. A file holds one flow, not a list of "
    "them.",
    wrong="[]",
    right=_RIGHT,
)
UNKNOWN_FIELD = Rule(
    "CF1002",
    "A field is not part of the format",
    "A field that nobody reads is most often a slip of the pen, and what it was meant to do would "
    "not happen. What configures a node stands in its `config`; remarks stand in `notes`.",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "confg": {}}]}',
    right='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "config": {}}]}',
)
MISSING_FIELD = Rule(
    "CF1003",
    "A field is missing",
    "A flow needs `version` and `nodes`; a node `id` and `type`; an edge `source` and `target`; "
    "`until` a `condition`; a `position` both `x` and `y`.",
    wrong='{"version": 1, "nodes": [{"type": "trigger.manual"}]}',
    right=_RIGHT,
)
WRONG_TYPE = Rule(
    "CF1004",
    "A field holds a value of the wrong type",
    'Nothing is converted: `"3"` is a text and not a number, `"true"` is not `true`. Only `config` '
    "may hold expressions (and, by their nature, `until.condition`, `compensate.config` and "
    "`concurrency.key`).",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual",'
    ' "disabled": "false"}]}',
    right='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "disabled": false}]}',
)
WRONG_VALUE = Rule(
    "CF1005",
    "A field holds a value that is not allowed there",
    "The value has the right type, but is too small, too large, or not one of the words that mean "
    "something there.",
    wrong='{"version": 1, "mode": "flow", "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "mode": "workflow",'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)
BAD_ID = Rule(
    "CF1006",
    "An id cannot be one",
    "Ids match `[a-z][a-z0-9_]{0,62}` and hold no double underscore, because they become the names "
    "of Dagster's jobs and steps, where `__` separates what CloudFlow puts together.",
    wrong='{"version": 1, "nodes": [{"id": "Start Here", "type": "trigger.manual"}]}',
    right='{"version": 1, "nodes": [{"id": "start_here", "type": "trigger.manual"}]}',
)
DUPLICATE_ID = Rule(
    "CF1007",
    "Two nodes have the same id",
    "Edges and expressions name a node by its id, so each node of a flow has its own.",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"},'
    ' {"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"},'
    ' {"id": "start_2", "type": "trigger.manual"}]}',
)
BAD_PARAMS = Rule(
    "CF1008",
    "`params` is not a JSON Schema of type object",
    "`params` describes the inputs of the flow as a JSON Schema (2020-12): `type` is `object`, and "
    "`properties` has one schema for each input, with its `type`, `default` and `description`. It "
    "may not refer to other documents, and its patterns are regular expressions of Python.",
    wrong='{"version": 1, "params": {"environment": {"type": "string"}},'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "params": {"type": "object", "properties": {"environment": '
    '{"type": "string", "default": "dev"}}}, "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)
BAD_FILE_NAME = Rule(
    "CF1009",
    "The file's name cannot be the flow's id",
    "Without an `id` a flow is called by its file's name without `.json`. A name with spaces, "
    "capitals, dots or hyphens cannot be an id; give the flow one, or rename the file.",
    # The file of this example is called `Nightly-Backup.json`.
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "id": "nightly_backup",'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)
BAD_VERSION = Rule(
    "CF1010",
    "The flow is written in a version of the format that is not known here",
    "This CloudFlow reads version 1. A file of a later version needs a later CloudFlow.",
    wrong='{"version": 2, "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right=_RIGHT,
)
