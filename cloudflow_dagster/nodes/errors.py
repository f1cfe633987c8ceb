"""How a node's work fails."""

from __future__ import annotations


class NodeError(Exception):
    """The work of a node failed in a way that its author can act on.

    Args:
        code: Stable and short: the provider's own error code (`InvalidVolume.NotFound`), or one of
            ours (`Timeout`, `HttpStatus`).
        message: One or two sentences for people. Holds no secret.
        provider_request_id: The provider's id of the failed request.
        transient: Whether another attempt may help; None leaves it to the node type's codes.
        retry_after: Seconds that the provider asked to wait before another attempt.
        unsure: Whether what was asked for may have been done all the same: the answer was lost.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        provider_request_id: str | None = None,
        transient: bool | None = None,
        retry_after: float | None = None,
        unsure: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.provider_request_id = provider_request_id
        self.transient = transient
        self.retry_after = retry_after
        self.unsure = unsure


class Canceled(Exception):  # noqa: N818 - the run was stopped; that is not an error of the node
    """The run was told to stop while the node worked."""
