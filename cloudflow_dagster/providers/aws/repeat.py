"""What is done about a call of an AWS operation that an interrupted run may have made already.

botocore's models say it of a third of the operations (`readonly`, `idempotent`, `idempotencyToken`,
the method of REST); names say it of most others, because AWS gives its verbs one meaning; the rest
stands here by name. What nothing is known of is asked about: `Repeat.ASK`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.models import Service
from cloudflow_dagster.providers.aws.tokens import OWN_TOKENS, tokens_of

_READS = re.compile(
    r"(Batch)?(Get|Describe|List|Lookup|Head|Search|Scan|Query|Count|Check|Preview|Estimate|Detect"
    r"|Simulate|Select|Filter|View|Discover|Retrieve|Compare|Decode|Translate|Classify)(?![a-z])"
)
_REMOVES = re.compile(
    r"(Batch)?(Delete|Remove|Untag|Detach|Disassociate|Deregister|Disable|Terminate|Stop|Cancel"
    r"|Unsubscribe|Revoke|Unassign|Release|Purge|Reset)(?![a-z])"
)
_SETS = re.compile(
    r"(Batch)?(Put|Set|Tag|Attach|Associate|Enable|Update|Modify|Change|Upsert|AddTags|AddPermission"
    r"|Add\w+To(?=[A-Z]))(?![a-z])"
)
_MAKES = re.compile(
    r"(Batch)?(Create|Start|Send|Import|Submit|Run|Invoke|Request|Copy|Publish)(?![a-z])"
)

_CHANGES = frozenset(
    {
        ("appconfigdata", "GetLatestConfiguration"),
        ("cognito-identity", "GetId"),
        ("cognito-identity", "GetOpenIdTokenForDeveloperIdentity"),
        ("iot", "ConfirmTopicRuleDestination"),
        ("license-manager", "CheckInLicense"),
        ("mediaconnect", "DiscoverGateway"),
        ("stepfunctions", "GetActivityTask"),
        ("storagegateway", "RetrieveTapeArchive"),
        ("storagegateway", "RetrieveTapeRecoveryPoint"),
    }
)
"""Operations that read by their name or method, and change something or give it only once."""

_READ_TOO = frozenset(
    {
        ("events", "TestEventPattern"),
        ("kms", "Decrypt"),
        ("kms", "Encrypt"),
        ("kms", "GenerateDataKey"),
        ("kms", "GenerateDataKeyWithoutPlaintext"),
        ("kms", "ReEncrypt"),
        ("kms", "Sign"),
        ("kms", "Verify"),
        ("sts", "AssumeRole"),
        ("sts", "AssumeRoleWithSAML"),
        ("sts", "AssumeRoleWithWebIdentity"),
    }
)

SAFE_TOO = frozenset(
    {
        # Made by a name that the author gives; again with the same settings, AWS answers the same.
        ("ecs", "CreateCluster"),
        ("elbv2", "CreateLoadBalancer"),
        ("elb", "RegisterInstancesWithLoadBalancer"),
        ("elbv2", "CreateTargetGroup"),
        ("elbv2", "RegisterTargets"),
        ("s3", "CompleteMultipartUpload"),
        ("s3", "CreateBucket"),
        ("s3", "DeleteObjects"),
        ("sns", "CreateTopic"),
        ("sns", "Subscribe"),
        ("sqs", "CreateQueue"),
        ("stepfunctions", "CreateActivity"),
        ("stepfunctions", "CreateStateMachine"),
        # The state that they bring about is the same after two as after one.
        ("dynamodb", "BatchWriteItem"),
        ("dynamodb", "PutItem"),
        ("ec2", "AuthorizeSecurityGroupEgress"),
        ("ec2", "AuthorizeSecurityGroupIngress"),
        ("ec2", "CreateRoute"),
        ("ec2", "CreateTags"),
        ("ec2", "ReplaceRoute"),
        ("ec2", "StartInstances"),
        ("rds", "StartDBCluster"),
        ("rds", "StartDBInstance"),
        ("route53", "ChangeResourceRecordSets"),
        ("sqs", "ChangeMessageVisibility"),
    }
)

_ASK_ALL_THE_SAME = frozenset(
    {
        # Each call adds something, counts something, or makes a new version.
        ("cloudwatch", "PutMetricData"),
        ("dynamodb", "UpdateItem"),
        ("ec2", "AssociateAddress"),
        ("ecs", "UpdateService"),
        ("events", "PutEvents"),
        ("events", "PutPartnerEvents"),
        ("firehose", "PutRecord"),
        ("firehose", "PutRecordBatch"),
        ("iot-data", "Publish"),
        ("kinesis", "PutRecord"),
        ("kinesis", "PutRecords"),
        ("logs", "PutLogEvents"),
        ("personalize-events", "PutEvents"),
        ("pinpoint", "PutEvents"),
        ("ssm", "UpdateAssociation"),
        ("ssm", "UpdateDocument"),
        ("xray", "PutTraceSegments"),
    }
)


def repeat_of(service: Service, operation: str) -> Repeat:
    """Return what is done about an interrupted call of an operation.

    Args:
        service: The service's model.
        operation: The API's own name of the operation.
    """
    name = (service.name, operation)
    if name in _CHANGES:
        return Repeat.ASK
    settings = service.operation(operation)
    if name in _READ_TOO or reads(service.name, operation, settings, rest=service.rest):
        return Repeat.READ
    if tokens_of(service, operation) or OWN_TOKENS & service.members(operation, "input").keys():
        return Repeat.TOKEN
    if name in _ASK_ALL_THE_SAME:
        return Repeat.ASK
    return Repeat.SAFE if name in SAFE_TOO or _is_safe(service, operation) else Repeat.ASK


def removes(operation: str) -> bool:
    """Return whether an operation takes something away, by its name in the API."""
    return bool(_REMOVES.match(operation))


def reads(service: str, operation: str, settings: Mapping[str, Json], *, rest: bool) -> bool:
    """Return whether an operation changes nothing.

    Args:
        service: botocore's name of the service.
        operation: The API's own name of the operation.
        settings: What the model says of the operation.
        rest: Whether the service's protocol is one of REST.
    """
    if (service, operation) in _CHANGES:
        return False
    if settings.get("readonly"):
        return True
    method = settings["http"]["method"]
    if rest and method in {"GET", "HEAD"}:
        return True
    return bool(_READS.match(operation)) and method in {"GET", "POST", "HEAD"}


def _is_safe(service: Service, operation: str) -> bool:
    settings = service.operation(operation)
    if settings.get("idempotent"):
        return True
    method = settings["http"]["method"]
    if _REMOVES.match(operation) or (service.rest and method == "DELETE"):
        return True
    if service.rest and method == "PUT":
        # By HTTP's own meaning; but some of AWS's make a resource whose name the service chooses.
        return service.name == "s3" or not _MAKES.match(operation)
    return bool(_SETS.match(operation))


_SURE_WITH: Mapping[tuple[str, str], str] = {
    ("sns", "Publish"): "MessageDeduplicationId",
    ("sqs", "SendMessage"): "MessageDeduplicationId",
}
"""Operations of which the service drops the second one, if the author names this."""


def by_config(service: Service, operation: str) -> Callable[[Mapping[str, Json]], Repeat] | None:
    """Return what tells it from a node's config, for operations where it depends on that."""
    member = _SURE_WITH.get((service.name, operation))
    if member is None:
        return None
    return lambda config: Repeat.SAFE if config.get(member) else Repeat.ASK
