"""What S3 does by itself with the objects of a bucket after some days."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from cloudflow_dagster.flow.model import Json

Days: TypeAlias = Annotated[int, Field(ge=1)]
StorageClass: TypeAlias = Literal[
    "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"
]


class Rule(BaseModel):
    """A rule for the objects whose keys begin with something."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    prefix: Annotated[str, Field(description="What the keys begin with.")] = ""
    delete_after_days: Annotated[Days | None, Field(description="When objects go.")] = None
    delete_old_versions_after_days: Annotated[
        Days | None, Field(description="When versions go that are no longer the newest.")
    ] = None
    abort_uploads_after_days: Annotated[
        Days | None, Field(description="When parts of uploads go that were never completed.")
    ] = None
    move_after_days: Annotated[
        int | None, Field(ge=0, description="When objects are moved to another storage class.")
    ] = None
    move_to: Annotated[StorageClass, Field(description="Where they are moved to.")] = "STANDARD_IA"


def sent_rule(rule: Rule) -> dict[str, Json]:
    """Return a rule as S3 takes it."""
    said = json.dumps(rule.model_dump(mode="json"), sort_keys=True)
    made: dict[str, Json] = {
        "ID": hashlib.sha256(said.encode()).hexdigest()[:16],
        "Status": "Enabled",
        "Filter": {"Prefix": rule.prefix},
    }
    if rule.delete_after_days:
        made["Expiration"] = {"Days": rule.delete_after_days}
    if rule.delete_old_versions_after_days:
        made["NoncurrentVersionExpiration"] = {
            "NoncurrentDays": rule.delete_old_versions_after_days
        }
    if rule.abort_uploads_after_days:
        made["AbortIncompleteMultipartUpload"] = {
            "DaysAfterInitiation": rule.abort_uploads_after_days
        }
    if rule.move_after_days is not None:
        made["Transitions"] = [{"Days": rule.move_after_days, "StorageClass": rule.move_to}]
    return made


def rule_of(found: dict[str, Any]) -> dict[str, Json]:
    """Return a rule as S3 gives it in the form of `Rule`."""
    transitions: list[dict[str, Any]] = found.get("Transitions") or [{}]
    moved = transitions[0]
    old: dict[str, Any] = found.get("NoncurrentVersionExpiration", {})
    made: dict[str, Json] = {
        "prefix": found.get("Filter", {}).get("Prefix", found.get("Prefix", "")),
        "delete_after_days": found.get("Expiration", {}).get("Days"),
        "delete_old_versions_after_days": old.get("NoncurrentDays"),
        "abort_uploads_after_days": found.get("AbortIncompleteMultipartUpload", {}).get(
            "DaysAfterInitiation"
        ),
        "move_after_days": moved.get("Days"),
        "move_to": moved.get("StorageClass", "STANDARD_IA"),
    }
    return {name: value for name, value in made.items() if value is not None}
