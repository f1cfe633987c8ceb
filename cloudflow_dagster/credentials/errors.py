"""Why a credential or a secret cannot be used, and what to do about it."""

from __future__ import annotations

from cloudflow_dagster.nodes.errors import NodeError


class CredentialError(NodeError):
    """A credential that cannot be used.

    Args:
        code: Stable and short: `NoSuchCredential`, `CredentialExpired`, or the provider's own.
        message: What is wrong, as sentences. Holds no secret.
        way_out: What to do about it, as sentences.
        transient: Whether the same may work a moment later (an endpoint that did not answer).
    """

    def __init__(
        self, code: str, message: str, way_out: str, *, transient: bool | None = False
    ) -> None:
        super().__init__(code, f"{message} {way_out}", transient=transient)
        self.problem = message
        self.way_out = way_out


class SecretError(CredentialError):
    """A secret that cannot be read."""
