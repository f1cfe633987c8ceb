"""Makes botocore sessions.

botocore is imported here when the first session is made, not before: it costs a third of a second.
"""

from __future__ import annotations

import importlib
from typing import Any

from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.values import SecretValues
from cloudflow_dagster.diagnostics.model import did_you_mean
from cloudflow_dagster.simulator.session import service_models


def open_session(*, profile: str | None = None, region: str | None = None) -> Any:
    """Return a session that finds its credentials as the AWS command line does.

    Raises:
        CredentialError: There is no such profile.
    """
    session = importlib.import_module("botocore.session").Session(profile=profile)
    session.register_component("data_loader", service_models())
    if profile is not None:
        known: list[str] = list(session.full_config.get("profiles", {}))
        if profile not in known:
            listed = ", ".join(f"`{p}`" for p in sorted(known)[:10]) or "none"
            raise CredentialError(
                "NoSuchProfile",
                f"There is no AWS profile `{profile}` on this machine.",
                did_you_mean(profile, known)
                or f"Its profiles are: {listed}. Add one with `aws configure --profile {profile}`.",
            )
    if region is not None:
        session.set_config_variable("region", region)
    return session


def static_credentials(access_key: str, secret_key: str, token: str | None) -> Any:
    """Return botocore credentials that never change."""
    return importlib.import_module("botocore.credentials").Credentials(
        access_key, secret_key, token, method="cloudflow"
    )


class _ReportedCredentials:
    """Tells every key and token to those who hide them, before a request is signed with it.

    Those of SSO, of a machine's role or of an assumed role change while a run goes on.
    """

    def __init__(self, real: Any, values: SecretValues) -> None:
        self._real = real
        self._values = values

    def get_frozen_credentials(self) -> Any:
        frozen = self._real.get_frozen_credentials()
        for value in (frozen.access_key, frozen.secret_key, frozen.token):
            self._values.add(value)
        return frozen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Given:
    """Stands in for botocore's chain of credential providers."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        return self._credentials


class _Reported:
    """botocore's chain of credential providers, with what it finds reported."""

    def __init__(self, chain: Any, values: SecretValues) -> None:
        self._chain = chain
        self._values = values

    def load_credentials(self) -> Any:
        found = self._chain.load_credentials()
        return None if found is None else _ReportedCredentials(found, self._values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)


def use_credentials(session: Any, credentials: Any, values: SecretValues | None) -> None:
    """Let a session sign with these, and tell them to `values` if there is anything to hide."""
    if values is not None:
        credentials = _ReportedCredentials(credentials, values)
    session.register_component("credential_provider", _Given(credentials))


def report_credentials(session: Any, values: SecretValues) -> None:
    """Tell what the session's own chain finds to `values`."""
    chain = session.get_component("credential_provider")
    session.register_component("credential_provider", _Reported(chain, values))
