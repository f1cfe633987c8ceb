"""The CloudFormation schemas of AWS's resource types, read from cfn-lint's installed package.

cfn-lint itself is never imported, only its data is read: a file for each type, and for each region
a list that says in which file a type's schema is. That layout is not cfn-lint's public API (checked
on 1.58.0); a package that is laid out otherwise counts as absent, and a test fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.models import services, snake_case

ABSENT = (
    "Resource types such as `aws.s3.bucket` are made from the schemas in cfn-lint, which is not "
    "installed here: pip install 'cloudflow-dagster[aws]'"
)

_HANDLERS = b'\n "handlers": {'
_DESCRIPTION = re.compile(rb'^ "description": (".*"),?$', re.MULTILINE)
_LARGEST_REGION = "us-east-1.json"
_SERVICES: Mapping[str, str] = {
    "amazonmq": "mq",
    "aps": "amp",
    "cases": "connectcases",
    "cassandra": "keyspaces",
    "certificatemanager": "acm",
    "directoryservice": "ds",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "eventschemas": "schemas",
    "eventsv2": "eventbridgev2",
    "inspectorv2": "inspector2",
    "iotcoredeviceadvisor": "iotdeviceadvisor",
    "kinesisfirehose": "firehose",
    "lex": "lexv2_models",
    "macie": "macie2",
    "msk": "kafka",
    "opensearchservice": "opensearch",
    "refactorspaces": "migration_hub_refactor_spaces",
    "route53recoverycontrol": "route53_recovery_control_config",
    "systemsmanagersap": "ssm_sap",
}
"""What CloudFormation calls services that botocore calls otherwise."""
_LOOKS_LIKE: Mapping[str, str] = {
    "cognito": "cognito-idp",
    "s3express": "s3",
    "s3objectlambda": "s3",
    "timestream": "timestream-write",
}
"""Services that are several in botocore, and the one that they stand beside in the palette."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What is known of a resource type without reading its schema as JSON.

    Attributes:
        name: CloudFormation's name: `AWS::S3::Bucket`.
        description: As it is there, in Markdown.
    """

    name: str
    description: str


def is_installed() -> bool:
    """Return whether the schemas are there, in the layout that is known."""
    return bool(_files())


@cache
def type_names() -> Mapping[str, str]:
    """Return CloudFormation's names of all types by node type id; 40 ms the first time.

    Some have no handlers, so that nothing can be done with them: `read_schema` returns None.

    `AWS::S3::Bucket` is `aws.s3.bucket`. The service is called as in ids of operations: botocore's
    name where there is one, else CloudFormation's in small letters. Of two types with the same id
    the first in the alphabet would have it; there are no such.
    """
    found: dict[str, str] = {}
    for name in sorted(_files()):
        found.setdefault(_id_of(name), name)
    return found


def read_schema(name: str) -> dict[str, Any] | None:
    """Return a type's schema; None if there is no such type or it has no handlers.

    Args:
        name: CloudFormation's name of the type.
    """
    file = _files().get(name)
    if file is None:
        return None
    try:
        schema: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return schema if schema.get("handlers") else None


def briefs() -> Iterator[tuple[str, Brief]]:
    """Yield id and description of each type with handlers; a fifth of a second."""
    for id, name in type_names().items():
        try:
            text = _files()[name].read_bytes()
        except OSError:
            continue
        if _HANDLERS in text:
            found = _DESCRIPTION.search(text)
            yield id, Brief(name, json.loads(found[1]) if found else "")


def palette_service(id: str) -> str:
    """Return botocore's name of the service that a type stands beside in the palette."""
    short = id.split(".")[1]
    return _LOOKS_LIKE.get(short) or services().get(short, short)


def _id_of(name: str) -> str:
    _, service, resource = name.split("::")[:3]
    small = service.lower()
    short = _SERVICES.get(small) or _squeezed().get(small, small)
    return f"aws.{short}.{snake_case()(resource)}"


@cache
def _squeezed() -> Mapping[str, str]:
    """Return the services' names in ids by the same without underscores."""
    return {short.replace("_", ""): short for short in services()}


@cache
def _files() -> Mapping[str, Path]:
    """Return the file of each type's schema by CloudFormation's name; empty if they are absent."""
    folder = _folder()
    if folder is None:
        return {}
    found: dict[str, Path] = {}
    # Nearly all types are in the largest region; the lists of the others add a few.
    regions = sorted(
        (folder / "providers").glob("*.json"), key=lambda file: file.name != _LARGEST_REGION
    )
    for region in regions:
        for name, stem in _listed(region).items():
            if name.startswith("AWS::") and name not in found and isinstance(stem, str):
                found[name] = folder / "resources" / f"{stem}.json"
    return found


def _listed(region: Path) -> Mapping[str, Json]:
    try:
        listed: Json = json.loads(region.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Json]", listed) if isinstance(listed, dict) else {}


def _folder() -> Path | None:
    spec = find_spec("cfnlint")
    for root in (spec and spec.submodule_search_locations) or ():
        folder = Path(root) / "data" / "schemas"
        if folder.is_dir():
            return folder
    return None
