"""An action of IAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Action:
    """One action of IAM.

    Attributes:
        name: `ec2:StopInstances`.
        level: IAM's access level: Read, List, Write, Tagging or Permissions management.
        resources: The types of resource that it may be limited to, and whether the request always
            has one of the type.
        dependents: Other actions that it may need, sorted.
        arns: The ARNs of the types: `arn:${Partition}:s3:::${BucketName}`.
    """

    name: str
    level: str
    resources: Mapping[str, bool]
    dependents: tuple[str, ...]
    arns: Mapping[str, str] = field(default_factory=dict[str, str])
