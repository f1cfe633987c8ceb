"""Names that Dagster accepts for flows, nodes and ports.

Ids hold no double underscore, so nothing that is made here with one collides with an id. Dagster
refuses some names (`input`, `type`, Python's keywords …) and all characters but letters, digits
and underscores: for jobs, op definitions and outputs, not for the keys of steps. So the key of a
node's step (a loop's first one) is the node's id, whatever it is.
"""

from __future__ import annotations

import keyword
import re

_REFUSED = frozenset(
    {
        *("context", "conf", "config", "meta", "arg_dict", "dict", "input_arg_dict"),
        *("output_arg_dict", "int", "str", "float", "bool", "input", "output", "type"),
        *keyword.kwlist,
    }
)
"""What Dagster 1.13.27 refuses (`DISALLOWED_NAMES`); a test compares."""

_PREFIX = "cf__"
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")

BEFORE = "before"
"""The input at which all edges into an op end."""
ITEMS = "items"
"""The input at which the steps of a loop's items come together."""
OPENED = f"{_PREFIX}opened"
"""The output of a loop's first op that goes straight to its last one."""
ITEM = f"{_PREFIX}item"
"""The dynamic output of a loop's first op, and the output of the op of an item."""


def dagster_name(name: str) -> str:
    """Return a name that Dagster accepts, different for different names."""
    if name in _REFUSED:
        return _PREFIX + name
    if name.startswith(_PREFIX) or _FOREIGN.search(name) or not name:
        return f"{_PREFIX}x_{_FOREIGN.sub(lambda m: f'_{ord(m[0]):x}_', name)}"
    return name


def flow_of_job(job: str) -> str:
    """Return the id of the flow that a job is made from."""
    return job.removeprefix(_PREFIX)


def item_op(node: str) -> str:
    """Return the key of the op that runs the items of a loop, without the items."""
    return f"{node}__item"


def done_op(node: str) -> str:
    """Return the key of the step that ends a loop."""
    return f"{node}__done"


def unmapped(key: str) -> str:
    """Return the key of a mapped step without its item."""
    return key.partition("[")[0]


def node_of(key: str) -> tuple[str, str]:
    """Return the node that a step belongs to, and its part: "", "item" or "done".

    Args:
        key: A step's key, such as `volumes`, `each__item[3]` or `each__done`.
    """
    name = unmapped(key)
    for part in ("item", "done"):
        if name.endswith(f"__{part}"):
            return name.removesuffix(f"__{part}"), part
    return name, ""


def schedule_name(flow: str, trigger: str) -> str:
    """Return the name of the schedule of a trigger."""
    return f"{flow}__{trigger}"
