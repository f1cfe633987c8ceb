"""Says in plain words why AWS would not let us in.

Exceptions are told apart by the names of their classes, so that asking does not import botocore.
"""

from __future__ import annotations

from typing import Any

from cloudflow_dagster.credentials.errors import CredentialError

_LOGIN_AGAIN = (
    "Log in again (`aws sso login`, or `aws login`), with `--profile` if the credential has one."
)

_CODES: dict[str, tuple[str, str, str]] = {
    "ExpiredToken": ("CredentialExpired", "The login has expired.", "Fetch new credentials."),
    "RequestExpired": (
        "ClockSkew",
        "AWS refused the request as too old.",
        "Set this machine's clock right, or fetch new credentials.",
    ),
    "InvalidClientTokenId": (
        "InvalidAccessKey",
        "AWS does not know the access key.",
        "Check the key that the credential refers to; it may have been deleted or switched off, "
        "or be a temporary one whose `session_token` is missing.",
    ),
    "SignatureDoesNotMatch": (
        "InvalidSecretKey",
        "The secret access key does not belong to the access key.",
        "Check the value that `secret_access_key` refers to, and this machine's clock.",
    ),
    "AccessDenied": (
        "AccessDenied",
        "AWS does not allow it.",
        "Give the role or user the permission; `cloudflow credentials test` says who one is.",
    ),
    "OptInRequired": (
        "NotSubscribed",
        "The account is not signed up for the service or the region.",
        "Switch the region on for the account, or use another one.",
    ),
}
_ALIASES = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidAccessKeyId": "InvalidClientTokenId",
    "AuthFailure": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "AccessDeniedException": "AccessDenied",
    "UnauthorizedOperation": "AccessDenied",
    "403": "AccessDenied",
    "RequestTimeTooSkewed": "RequestExpired",
}

_CLASSES: dict[str, tuple[str, str, str]] = {
    "NoCredentialsError": (
        "NoCredentials",
        "AWS's default chain found no credentials.",
        "Set `AWS_PROFILE` or `AWS_ACCESS_KEY_ID`, run `aws configure`, or name a way to log in "
        "for the credential in `cloudflow.yaml`.",
    ),
    "PartialCredentialsError": (
        "NoCredentials",
        "Only half of an access key was found.",
        "Give both the access key's id and its secret.",
    ),
    "UnauthorizedSSOTokenError": ("CredentialExpired", "The SSO login has expired.", _LOGIN_AGAIN),
    "SSOTokenLoadError": ("CredentialExpired", "There is no SSO login.", _LOGIN_AGAIN),
    "TokenRetrievalError": ("CredentialExpired", "The SSO login has expired.", _LOGIN_AGAIN),
    "LoginError": ("CredentialExpired", "The login of the profile has ended.", _LOGIN_AGAIN),
    "CredentialRetrievalError": (
        "NoCredentials",
        "The profile's credentials could not be fetched.",
        "Check the profile's `credential_process`, `credential_source` or role.",
    ),
    "MetadataRetrievalError": (
        "NoCredentials",
        "The machine's metadata service gave no credentials.",
        "Attach a role to the machine or the container.",
    ),
    "InfiniteLoopConfigError": (
        "BadProfile",
        "The profile's source profiles refer to each other.",
        "Correct `source_profile` in `~/.aws/config`.",
    ),
    "ConfigParseError": (
        "BadProfile",
        "AWS's configuration file cannot be read.",
        "Correct `~/.aws/config` (or the file that `AWS_CONFIG_FILE` names).",
    ),
    "InvalidConfigError": (
        "BadProfile",
        "The profile is not complete.",
        "Correct the profile in `~/.aws/config`.",
    ),
    "NoRegionError": (
        "NoRegion",
        "No region is known.",
        "Give the credential a `region` in `cloudflow.yaml`, or the node one.",
    ),
    "InvalidRegionError": (
        "NoRegion",
        "The region is not a name.",
        "Correct `region` of the credential or the node.",
    ),
    "SSLError": (
        "Unreachable",
        "The connection to AWS is not trusted.",
        "Check `AWS_CA_BUNDLE` and the proxy of this network.",
    ),
    "ProxyConnectionError": (
        "Unreachable",
        "The proxy did not answer.",
        "Check `HTTPS_PROXY` and `NO_PROXY`.",
    ),
}
_UNREACHABLE = frozenset(
    {
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
    }
)


def error_code(error: BaseException) -> str | None:
    """Return the code of an answer of AWS that is an error, or None for any other exception."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    answer: dict[str, Any] = response  # pyright: ignore[reportUnknownVariableType] - JSON
    detail: dict[str, Any] = answer.get("Error") or {}
    code = detail.get("Code")
    return None if code is None else str(code)


def explain(error: Exception) -> CredentialError | None:
    """Return why the login failed, or None if the exception speaks of something else.

    The texts of AWS's own messages are taken over where they name who was refused what; they hold
    no secret.
    """
    if isinstance(error, CredentialError):
        return error
    code = error_code(error)
    if code is not None:
        return _explain_answer(code, error)
    names = [c.__name__ for c in type(error).__mro__]
    if "ProfileNotFound" in names:
        # The session's own profile is checked when it is made: this one came by AWS_PROFILE.
        return CredentialError(
            "NoSuchProfile",
            f"{error}.",
            "Correct `AWS_PROFILE`, or add the profile to `~/.aws/config`.",
        )
    if not _UNREACHABLE.isdisjoint(names):
        # Before the general classes: some of these derive from them.
        url = getattr(error, "kwargs", {}).get("endpoint_url", "AWS")
        return CredentialError(
            "Unreachable",
            f"{url} does not answer.",
            "Check the network, the region, and the credential's `endpoint`.",
            transient=True,
        )
    for name in names:
        if name in _CLASSES:
            return CredentialError(*_CLASSES[name])
    return None


def _explain_answer(code: str, error: Exception) -> CredentialError | None:
    known = _CODES.get(_ALIASES.get(code, code))
    if known is None:
        return None
    response: Any = getattr(error, "response", {})
    own, message, way_out = known
    said = str(response.get("Error", {}).get("Message") or "").strip().rstrip(".")
    return CredentialError(own, f"{message} AWS says: {said}." if said else message, way_out)
