"""Logs in to Azure subscriptions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.identity import Identity
from cloudflow_dagster.credentials.sdk import need
from cloudflow_dagster.credentials.spec import AzureSpec, Reference
from cloudflow_dagster.credentials.values import SecretValues

MANAGEMENT_SCOPE = "https://management.azure.com/.default"


class AzureLogin:
    """Access to one Azure subscription.

    Attributes:
        name: The credential's name.
        subscription: Id of the subscription, or None if the credential names none.
        location: Where nodes work that name no region.
        credential: An `azure.identity` credential, for the constructors of Azure's clients. Tokens
            that clients fetch with it are reported too.
    """

    provider = "azure"
    simulated = False

    def __init__(
        self, name: str, credential: Any, *, subscription: str | None, location: str | None
    ) -> None:
        self.name = name
        self.credential = credential
        self.subscription = subscription
        self.location = location

    @property
    def region(self) -> str | None:
        """The location, by the name that nodes of every provider use."""
        return self.location

    def in_region(self, region: str | None) -> AzureLogin:
        """Return the same login with another location."""
        if region is None or region == self.location:
            return self
        return AzureLogin(
            self.name, self.credential, subscription=self.subscription, location=region
        )

    def token(self, scope: str = MANAGEMENT_SCOPE) -> str:
        """Return an access token that is still valid.

        Raises:
            CredentialError: Azure gave none; says why and what to do.
        """
        try:
            token: str = self.credential.get_token(scope).token
        except Exception as error:
            raise _explain(self.name, error) from error
        return token

    def identity(self) -> Identity:
        """Say who one is, after fetching a token.

        Raises:
            CredentialError: One is not logged in; says why and what to do.
        """
        claims = _claims(self.token())
        who = next(
            (str(claims[c]) for c in ("upn", "unique_name", "appid", "azp", "oid") if c in claims),
            "a principal that its token does not name",
        )
        return Identity(account=self.subscription, who=who)


class _ReportedCredential:
    """An Azure credential whose tokens are told to those who hide them."""

    def __init__(self, real: Any, values: SecretValues) -> None:
        self._real = real
        self._values = values

    def get_token(self, *scopes: str, **options: Any) -> Any:
        token = self._real.get_token(*scopes, **options)
        self._values.add(token.token)
        return token

    def get_token_info(self, *scopes: str, **options: Any) -> Any:
        token = self._real.get_token_info(*scopes, **options)
        self._values.add(token.token)
        return token

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def log_in(
    name: str,
    spec: AzureSpec,
    *,
    read: Callable[[Reference | str], str],
    values: SecretValues,
) -> AzureLogin:
    """Return the login that a credential describes. Talks to nobody yet.

    Args:
        name: The credential's name.
        spec: How to log in.
        read: Reads references.
        values: Is told every secret and token.

    Raises:
        CredentialError: The SDK is not installed, or a value is not what Azure takes.
        SecretError: A reference cannot be read.
    """
    identity = need("azure.identity", "azure")
    try:
        if spec.managed_identity:
            chosen = {} if spec.client_id is None else {"client_id": read(spec.client_id)}
            real = identity.ManagedIdentityCredential(**chosen)
        elif spec.tenant_id is not None and spec.client_id and spec.client_secret is not None:
            secret = read(spec.client_secret)
            values.add(secret)
            real = identity.ClientSecretCredential(
                read(spec.tenant_id), read(spec.client_id), secret
            )
        else:
            real = identity.DefaultAzureCredential(exclude_interactive_browser_credential=True)
    except CredentialError:
        raise
    except Exception as error:
        raise _explain(name, error) from error
    return AzureLogin(
        name,
        _ReportedCredential(real, values),
        subscription=None if spec.subscription is None else read(spec.subscription),
        location=spec.location,
    )


def _claims(token: str) -> dict[str, Any]:
    """Read what a token says of its owner; it was just issued to us, so nothing is verified."""
    try:
        payload = token.split(".")[1]
        found: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType] - JSON


def _explain(name: str, error: Exception) -> CredentialError:
    names = {c.__name__ for c in type(error).__mro__}
    said = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    if "CredentialUnavailableError" in names:
        return CredentialError(
            "NoCredentials",
            f"Azure found no way to log `{name}` in: {said}",
            "Run `az login`, or give the credential a service principal in `cloudflow.yaml`.",
        )
    if "ServiceRequestError" in names:
        return CredentialError(
            "Unreachable",
            "Azure does not answer.",
            "Check the network and its proxy.",
            transient=True,
        )
    if "ClientAuthenticationError" in names:
        return CredentialError(
            "AccessDenied",
            f"Azure refused the login of `{name}`: {said}",
            "Check `tenant_id`, `client_id`, and whether the secret has expired.",
        )
    return CredentialError(
        type(error).__name__,
        f"Azure did not log `{name}` in: {said}",
        "Check the credential in `cloudflow.yaml`.",
    )
