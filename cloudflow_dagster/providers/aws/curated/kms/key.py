"""Keys of KMS."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Tags, Text, one
from cloudflow_dagster.providers.aws.operations import Operations

Key = Annotated[str, one("arn", "Arn", "KeyId"), ONE]
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
