"""Amazon Web Services: a node type for every operation of every service, and for every resource.

`source.py` makes the node types, from the models that `models.py` reads, with the schemas that
`schemas.py` writes and the waiters that `waits.py` finds. `invoke.py` is what they do when a flow
runs: `values.py` turns JSON into arguments and back, `conversation.py` sends the requests,
`errors.py` says what went wrong. `permissions/` knows what IAM must allow for it.

Resource types come from `cloudformation_source.py`: `cloudformation.py` reads CloudFormation's
schemas, `cloudformation_schemas.py` rewrites them, and `cloudcontrol.py` does the work.
"""

from cloudflow_dagster.providers.aws.cloudformation_source import AwsResources
from cloudflow_dagster.providers.aws.source import AwsNodes

__all__ = ["AwsNodes", "AwsResources"]
