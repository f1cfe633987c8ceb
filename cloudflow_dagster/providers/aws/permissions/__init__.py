"""What IAM must allow for calls of AWS.

`definition.py` reads IAM's list of actions, `overrides.py` is the reviewed table of those that are
called differently from their operations, and `actions.py` puts the two together.
"""

from cloudflow_dagster.providers.aws.permissions.actions import (
    Sends,
    access_level,
    permissions_of_calls,
    permissions_of_node,
)

__all__ = ["Sends", "access_level", "permissions_of_calls", "permissions_of_node"]
