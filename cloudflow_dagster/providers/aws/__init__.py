"""Amazon Web Services: a node type for every operation of every service.

`source.py` makes the node types, from the models that `models.py` reads, with the schemas that
`schemas.py` writes and the waiters that `waits.py` finds. `invoke.py` is what they do when a flow
runs: `values.py` turns JSON into arguments and back, `conversation.py` sends the requests,
`errors.py` says what went wrong. `permissions/` knows what IAM must allow for it.
"""

from cloudflow_dagster.providers.aws.source import AwsNodes

__all__ = ["AwsNodes"]
