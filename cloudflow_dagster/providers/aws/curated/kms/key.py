"""Keys of KMS."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    Document,
    EncryptionKey,
    Tags,
    Text,
    document,
    gone,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Key = Annotated[EncryptionKey, Names("KeyId")]
_LONGEST = 4096


class Encrypted(TypedDict):
    """A text that only the key can read."""

    ciphertext: Annotated[str, Field(description="In base64.")]
    key: Annotated[str, Field(description="ARN of the key.")]


class Decrypted(TypedDict):
    """A text that was encrypted."""

    text: Annotated[str, Field(description="Hidden, `***`, unless the node says otherwise.")]
    key: Annotated[str, Field(description="ARN of the key.")]


@aws_action(
    "aws.kms.key.encrypt",
    label="Encrypt text",
    calls=("kms.Encrypt",),
    repeat=Repeat.READ,
    icon="lock",
)
def encrypt(
    aws: Operations,
    *,
    key: Key,
    text: Annotated[str, Field(min_length=1, max_length=_LONGEST)],
    context: Tags | None = None,
) -> Encrypted:
    """Encrypts a text of up to 4 kB with a key of KMS.

    Args:
        aws: Carries out operations.
        key: Id, ARN or `alias/…`.
        text: What nobody else may read.
        context: Must be given again to decrypt it.
    """
    answer = aws.ask(
        "kms.Encrypt",
        KeyId=key,
        Plaintext=text,
        EncryptionContext=context,
    )
    return {"ciphertext": _in_base64(answer["CiphertextBlob"]), "key": answer["KeyId"]}


@aws_action(
    "aws.kms.key.decrypt",
    label="Decrypt text",
    calls=("kms.Decrypt",),
    repeat=Repeat.READ,
    icon="lock-open",
)
def decrypt(
    aws: Operations, *, ciphertext: Text, context: Tags | None = None, hide: bool = True
) -> Decrypted:
    """Decrypts what `aws.kms.key.encrypt` gave; the text is hidden everywhere.

    Args:
        aws: Carries out operations.
        ciphertext: In base64.
        context: As it was given to encrypt it.
        hide: Whether the text is a secret: then later nodes get `***`, too.
    """
    answer = aws.ask(
        "kms.Decrypt", CiphertextBlob={"base64": ciphertext}, EncryptionContext=context
    )
    text = answer["Plaintext"]
    if not isinstance(text, str):
        raise NodeError("NotText", "What was encrypted is no text.", transient=False)
    if hide:
        aws.call.hide(text)
    return {"text": text, "key": answer["KeyId"]}


def _in_base64(blob: object) -> str:
    if isinstance(blob, dict):
        return str(blob["base64"])  # pyright: ignore[reportUnknownArgumentType] - JSON
    return base64.b64encode(str(blob).encode()).decode()


_OURS = "cloudflow:name"
"""Tag by which a key is found whose alias was never made."""
_GOING = frozenset({"PendingDeletion", "PendingReplicaDeletion", "Unavailable"})


@aws_resource(
    "aws.kms.key",
    label="Key",
    create=("kms.CreateKey", "kms.CreateAlias"),
    sends={"Tags": ()},
    read=(
        "kms.DescribeKey",
        "kms.GetKeyRotationStatus",
        "kms.GetKeyPolicy",
        "kms.ListResourceTags",
    ),
    update={
        "kms.UpdateKeyDescription": ("description",),
        "kms.EnableKeyRotation": ("rotation",),
        "kms.DisableKeyRotation": ("rotation",),
        "kms.PutKeyPolicy": ("policy",),
        "kms.TagResource": ("tags",),
        "kms.UntagResource": ("tags",),
    },
    create_if_repeated=("kms.ListKeys", "kms.UpdateAlias"),
    delete=("kms.ScheduleKeyDeletion", "kms.DeleteAlias"),
    loss="All that was encrypted with it can never be read again.",
)
class KmsKey(AwsResource):
    """A key of KMS with an alias, made anew every year by KMS itself."""

    noun = "key"
    name: Annotated[
        str,
        FIXED,
        Names("Alias"),
        Field(pattern=r"^[\w/-]+$", description="Its alias, without `alias/`."),
    ]
    description: Annotated[str | None, Field(description="What it is for.")] = None
    rotation: Annotated[bool, Field(description="Whether it is made anew every year.")] = True
    policy: Annotated[Document | None, Field(description="Who may do what with it.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What KMS calls it.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @override
    def create(self, aws: Operations) -> str:
        key = self._nameless(aws) if aws.call.repeated else None
        if key is None:
            tag: Json = {"TagKey": _OURS, "TagValue": self.name}
            key = aws.ask("kms.CreateKey", Tags=[tag])["KeyMetadata"]["KeyId"]
        alias = f"alias/{self.name}"
        try:
            aws.ask("kms.CreateAlias", AliasName=alias, TargetKeyId=key)
        except NodeError as error:
            if error.code != "AlreadyExistsException":
                raise
            # It is still that of a key that is about to be deleted, or `read` had found it.
            aws.ask("kms.UpdateAlias", AliasName=alias, TargetKeyId=key)
        return self.name

    def _nameless(self, aws: Operations) -> str | None:
        """Return the key that an interrupted run made before it could give it its alias."""
        for each in aws.pages("kms.ListKeys").get("Keys", []):
            key = str(each["KeyId"])
            if _tags(aws, key).get(_OURS) == self.name and _metadata(aws, key) is not None:
                return key
        return None

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = _metadata(aws, f"alias/{identifier}")
        if found is None:
            return None
        key = found["KeyId"]
        policy = aws.ask("kms.GetKeyPolicy", KeyId=key, PolicyName="default")
        rotation = aws.ask("kms.GetKeyRotationStatus", KeyId=key)
        tags = _tags(aws, key)
        return identifier, {
            "name": identifier,
            "description": found.get("Description") or None,
            "rotation": rotation["KeyRotationEnabled"],
            "policy": document(policy["Policy"]),
            "tags": {name: value for name, value in tags.items() if name != _OURS},
            "id": key,
            "arn": found["Arn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        key = aws.ask("kms.DescribeKey", KeyId=f"alias/{identifier}")["KeyMetadata"]["KeyId"]
        if "description" in changed:
            aws.ask("kms.UpdateKeyDescription", KeyId=key, Description=self.description)
        if "rotation" in changed:
            aws.ask(f"kms.{'Enable' if self.rotation else 'Disable'}KeyRotation", KeyId=key)
        if "policy" in changed:
            said = json.dumps(self.policy)
            aws.ask("kms.PutKeyPolicy", KeyId=key, PolicyName="default", Policy=said)
        if "tags" in changed:
            tags: list[Json] = [
                {"TagKey": name, "TagValue": value} for name, value in (self.tags or {}).items()
            ]
            if tags:
                aws.ask("kms.TagResource", KeyId=key, Tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("kms.UntagResource", KeyId=key, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        alias = f"alias/{identifier}"
        key = aws.ask("kms.DescribeKey", KeyId=alias)["KeyMetadata"]["KeyId"]
        aws.ask("kms.ScheduleKeyDeletion", KeyId=key)
        aws.ask("kms.DeleteAlias", AliasName=alias)


def _metadata(aws: Operations, key: str) -> dict[str, Any] | None:
    """Return what is said of a key; None if there is none, or it is about to be deleted."""
    answer = aws.find("kms.DescribeKey", absent=("NotFoundException",), KeyId=key)
    found: dict[str, Any] = answer["KeyMetadata"] if answer else {}
    return found if found and found["KeyState"] not in _GOING else None


def _tags(aws: Operations, key: str) -> dict[str, str]:
    tags = aws.pages("kms.ListResourceTags", KeyId=key).get("Tags", [])
    return {each["TagKey"]: each["TagValue"] for each in tags}
