"""Logs in to Google Cloud projects."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.identity import Identity
from cloudflow_dagster.credentials.sdk import need
from cloudflow_dagster.credentials.sources import read_file
from cloudflow_dagster.credentials.spec import GcpSpec, Reference
from cloudflow_dagster.credentials.values import SecretValues

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class GcpLogin:
    """Access to one Google Cloud project.

    Attributes:
        name: The credential's name.
        project: Id of the project, or None if neither the credential nor Google names one.
        location: Where nodes work that name no region.
        credentials: `google.auth` credentials, for the constructors of Google's clients.
    """

    provider = "gcp"
    simulated = False

    def __init__(
        self,
        name: str,
        credentials: Any,
        *,
        project: str | None,
        location: str | None,
        values: SecretValues,
    ) -> None:
        self.name = name
        self.credentials = credentials
        self.project = project
        self.location = location
        self._values = values
        self._lock = threading.Lock()

    @property
    def region(self) -> str | None:
        """The location, by the name that nodes of every provider use."""
        return self.location

    def in_region(self, region: str | None) -> GcpLogin:
        """Return the same login with another location."""
        if region is None or region == self.location:
            return self
        return GcpLogin(
            self.name,
            self.credentials,
            project=self.project,
            location=region,
            values=self._values,
        )

    def token(self) -> str:
        """Return an access token that is still valid.

        Raises:
            CredentialError: Google gave none; says why and what to do.
        """
        transport = need("google.auth.transport.requests", "gcp")
        with self._lock:
            if not self.credentials.valid:
                try:
                    self.credentials.refresh(transport.Request())
                except Exception as error:
                    raise _explain(self.name, error) from error
            token: str = self.credentials.token
        self._values.add(token)
        return token

    def identity(self) -> Identity:
        """Say who one is, after fetching a token.

        Raises:
            CredentialError: One is not logged in; says why and what to do.
        """
        self.token()
        who = (
            getattr(self.credentials, "service_account_email", None)
            or getattr(self.credentials, "account", None)
            or "a user of application default credentials"
        )
        return Identity(account=self.project, who=str(who))


def log_in(
    name: str,
    spec: GcpSpec,
    *,
    root: Path,
    read: Callable[[Reference | str], str],
    values: SecretValues,
) -> GcpLogin:
    """Return the login that a credential describes.

    Args:
        name: The credential's name.
        spec: How to log in.
        root: The project's folder.
        read: Reads references.
        values: Is told every key and token.

    Raises:
        CredentialError: The SDK is not installed, or no credentials were found.
        SecretError: A reference cannot be read.
    """
    auth = need("google.auth", "gcp")
    try:
        if spec.service_account_file is not None:
            text = read_file(spec.service_account_file, root)
            found, project = _from_key(name, text, values)
        elif spec.service_account_json is not None:
            found, project = _from_key(name, read(spec.service_account_json), values)
        else:
            found, project = auth.default(scopes=SCOPES)
        if spec.impersonate is not None:
            found = need("google.auth.impersonated_credentials", "gcp").Credentials(
                source_credentials=found,
                target_principal=read(spec.impersonate),
                target_scopes=SCOPES,
            )
    except CredentialError:
        raise
    except Exception as error:
        raise _explain(name, error) from error
    if spec.project is not None:
        project = read(spec.project)
    return GcpLogin(name, found, project=project, location=spec.location, values=values)


def _from_key(name: str, text: str, values: SecretValues) -> tuple[Any, str | None]:
    values.add(text)
    try:
        key: dict[str, Any] = json.loads(text)
        values.add(key["private_key"])
        service_account = need("google.oauth2.service_account", "gcp")
        found = service_account.Credentials.from_service_account_info(key, scopes=SCOPES)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Not the parser's own message: it may quote the key.
        raise CredentialError(
            "BadKeyFile",
            f"The key of the credential `{name}` is not a service account's key file.",
            "Download it again as JSON, or leave it out to use application default credentials.",
        ) from None
    project: str | None = key.get("project_id")
    return found, project


def _explain(name: str, error: Exception) -> CredentialError:
    names = {c.__name__ for c in type(error).__mro__}
    if "DefaultCredentialsError" in names:
        return CredentialError(
            "NoCredentials",
            f"Google's default chain found no credentials for `{name}`.",
            "Run `gcloud auth application-default login`, or give the credential a "
            "`service_account_file` in `cloudflow.yaml`.",
        )
    if "RefreshError" in names:
        return CredentialError(
            "CredentialExpired",
            f"Google refused the login of `{name}`: {_first_line(error)}",
            "The key may have been deleted or have expired, or the right to impersonate is missing "
            "(`roles/iam.serviceAccountTokenCreator`).",
        )
    if "TransportError" in names:
        return CredentialError(
            "Unreachable",
            "Google does not answer.",
            "Check the network and its proxy.",
            transient=True,
        )
    return CredentialError(
        type(error).__name__,
        f"Google did not log `{name}` in: {_first_line(error)}",
        "Check the credential in `cloudflow.yaml`.",
    )


def _first_line(error: Exception) -> str:
    said = str(error.args[0] if error.args else error).splitlines()
    return said[0][:300] if said else type(error).__name__
