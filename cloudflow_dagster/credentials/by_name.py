"""Credentials of a project by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cloudflow_dagster.credentials import aws_access, azure, gcp
from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.credentials.azure import AzureLogin
from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.gcp import GcpLogin
from cloudflow_dagster.credentials.identity import Identity
from cloudflow_dagster.credentials.sources import read_environment, read_file
from cloudflow_dagster.credentials.spec import (
    AwsSpec,
    AzureSpec,
    CredentialSpec,
    GcpSpec,
    Reference,
)
from cloudflow_dagster.credentials.values import OnValue, SecretValues
from cloudflow_dagster.diagnostics.model import did_you_mean

Login: TypeAlias = AwsLogin | GcpLogin | AzureLogin


@dataclass(frozen=True, slots=True)
class CredentialSummary:
    """What may be shown of a credential.

    Attributes:
        name: Its name.
        provider: `aws`, `gcp` or `azure`.
        how: How one logs in, in a few words; names references, never what they refer to.
        region: Its default region or location.
        default: Whether nodes of the provider use it that name none.
        simulated: Whether it opens the simulated cloud.
    """

    name: str
    provider: str
    how: str
    region: str | None
    default: bool
    simulated: bool


@dataclass(frozen=True, slots=True)
class LoginCheck:
    """Whether a credential works: either `identity`, or `problem` and `way_out`."""

    name: str
    provider: str | None
    identity: Identity | None = None
    code: str | None = None
    problem: str | None = None
    way_out: str | None = None

    @property
    def ok(self) -> bool:
        """Whether one is logged in."""
        return self.identity is not None


class Credentials:
    """The credentials that a project names.

    Args:
        specs: How to log in with each.
        defaults: For each provider the name of the credential of nodes that name none.
        root: The project's folder.
        secret: Gives the value of one of the project's secrets.
        simulated_endpoint: Finds the running simulated cloud; None if there is none.
        values: Is told every key and token before it is used.
        on_value: A first listener of `values`.
    """

    def __init__(
        self,
        specs: Mapping[str, CredentialSpec],
        *,
        defaults: Mapping[str, str],
        root: Path,
        secret: Callable[[str], str],
        simulated_endpoint: Callable[[], str | None],
        values: SecretValues | None = None,
        on_value: OnValue | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._defaults = dict(defaults)
        self._root = root
        self._secret = secret
        self._simulated_endpoint = simulated_endpoint
        self._values = values or SecretValues()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._logins: dict[tuple[str, str | None], Login] = {}
        if on_value is not None:
            self._values.listen(on_value)

    def listen(self, on_value: OnValue) -> Callable[[], None]:
        """Tell a listener every key and token, past and to come; returns what ends that."""
        return self._values.listen(on_value)

    def names(self) -> list[str]:
        """Return the names of all credentials, sorted."""
        return sorted(self._specs)

    def spec(self, name: str) -> CredentialSpec | None:
        """Return how to log in with a credential, or None if there is none of this name."""
        return self._specs.get(name)

    def default(self, provider: str) -> str | None:
        """Return the name of a provider's default credential, or None if it has none."""
        return self._defaults.get(provider)

    def provider_of(self, name: str) -> str | None:
        """Return a credential's provider, or None if there is none of this name."""
        spec = self._specs.get(name)
        return None if spec is None else spec.provider

    def suggest(self, name: str, provider: str | None = None) -> str | None:
        """Return a suggestion sentence for a name that is not there, or None.

        Args:
            name: The name that was asked for.
            provider: Suggest only credentials of this one.
        """
        return did_you_mean(
            name, [n for n, s in self._specs.items() if provider in {None, s.provider}]
        )

    def simulated(self, name: str) -> bool:
        """Return whether a credential opens the simulated cloud, directly or by its source."""
        spec = self._specs.get(name)
        while isinstance(spec, AwsSpec):
            if spec.simulated:
                return True
            spec = None if spec.source is None else self._specs.get(spec.source)
        return False

    def login(self, name: str | None, provider: str, region: str | None = None) -> Login:
        """Return the login of a credential; made once for a name, shared between regions.

        Args:
            name: The credential; None for the provider's default one.
            provider: Whose login is needed.
            region: Overrides the credential's region.

        Raises:
            CredentialError: There is no such credential, or it cannot be used.
        """
        name = name or self._default_of(provider)
        spec = self._spec_of(name, provider)
        # The simulated cloud may have been started anew, elsewhere, since the login was made.
        endpoint = self._endpoint_of(name)
        key = (name, endpoint)
        with self._lock:
            own = self._locks.setdefault(name, threading.Lock())
        # One lock for each name, as for secrets: what a credential needs first is never itself, so
        # whoever holds one of these locks and waits for another does not wait for ever.
        with own:
            login = self._logins.get(key)
            if login is None:
                login = self._logins[key] = self._log_in(name, spec, endpoint)
        return login.in_region(region)

    def test(self, name: str) -> LoginCheck:
        """Find out who one is with a credential, or why one is not let in."""
        provider = self.provider_of(name)
        try:
            self._spec_of(name, provider)
            identity = self.login(name, provider or "").identity()
        except CredentialError as error:
            return LoginCheck(
                name, provider, code=error.code, problem=error.problem, way_out=error.way_out
            )
        except Exception as error:
            return LoginCheck(
                name,
                provider,
                code=type(error).__name__,
                problem=f"Logging in failed: {error}",
                way_out="Check the credential in `cloudflow.yaml`.",
            )
        return LoginCheck(name, provider, identity)

    def describe(self) -> list[CredentialSummary]:
        """Return what may be shown of every credential, sorted by name."""
        return [
            CredentialSummary(
                name=name,
                provider=self._specs[name].provider,
                how=_how(self._specs[name]),
                region=self._region_of(name),
                default=self._defaults.get(self._specs[name].provider) == name,
                simulated=self.simulated(name),
            )
            for name in self.names()
        ]

    def _region_of(self, name: str) -> str | None:
        spec = self._specs[name]
        if not isinstance(spec, AwsSpec):
            return spec.location
        if spec.region is None and spec.source in self._specs:
            return self._region_of(spec.source)
        return spec.region

    def _default_of(self, provider: str) -> str:
        name = self._defaults.get(provider)
        if name is not None:
            return name
        known = [n for n in self.names() if self._specs[n].provider == provider]
        if known:
            raise CredentialError(
                "NoDefaultCredential",
                f"The project has several `{provider}` credentials, and none is the default.",
                f"Name one of them in the node (`{known[0]}`), or set `default_credentials` in "
                "`cloudflow.yaml`.",
            )
        raise CredentialError(
            "NoDefaultCredential",
            f"The project has no `{provider}` credential.",
            "Add one to `credentials` in `cloudflow.yaml`.",
        )

    def _spec_of(self, name: str, provider: str | None) -> CredentialSpec:
        spec = self._specs.get(name)
        if spec is None:
            listed = ", ".join(f"`{n}`" for n in self.names()[:10]) or "none"
            raise CredentialError(
                "NoSuchCredential",
                f"The project has no credential `{name}`.",
                self.suggest(name) or f"Its credentials are: {listed}.",
            )
        if spec.provider != provider:
            raise CredentialError(
                "WrongProvider",
                f"The credential `{name}` is one for `{spec.provider}`, not for `{provider}`.",
                f"Name a `{provider}` credential in the node.",
            )
        return spec

    def _endpoint_of(self, name: str) -> str | None:
        if not self.simulated(name):
            return None
        endpoint = self._simulated_endpoint()
        if endpoint is None:
            raise CredentialError(
                "NoSimulatedCloud",
                f"The credential `{name}` is the simulated cloud, and none is running.",
                "Start `cloudflow dev`; `cloudflow run` starts one if none runs when it begins.",
                transient=True,
            )
        return endpoint

    def _log_in(self, name: str, spec: CredentialSpec, endpoint: str | None) -> Login:
        match spec:
            case AwsSpec():
                source = None if spec.source is None else self.login(spec.source, "aws")
                return aws_access.log_in(
                    name,
                    spec,
                    source=source if isinstance(source, AwsLogin) else None,
                    simulated_endpoint=endpoint,
                    read=self._read,
                    values=self._values,
                )
            case GcpSpec():
                return gcp.log_in(name, spec, root=self._root, read=self._read, values=self._values)
            case AzureSpec():
                return azure.log_in(name, spec, read=self._read, values=self._values)

    def _read(self, value: Reference | str) -> str:
        if isinstance(value, str):
            return value
        if value.env is not None:
            return read_environment(value.env)
        if value.file is not None:
            return read_file(value.file, self._root)
        return self._secret(value.secret or "")


def _how(spec: CredentialSpec) -> str:
    match spec:
        case AwsSpec():
            how = _how_aws(spec)
            return how if spec.role_arn is None else f"role {spec.role_arn} by {how}"
        case GcpSpec():
            if spec.service_account_file is not None:
                how = f"key file {spec.service_account_file}"
            elif spec.service_account_json is not None:
                how = f"key from {spec.service_account_json}"
            else:
                how = "Google's default chain"
            return how if spec.impersonate is None else f"{spec.impersonate} by {how}"
        case AzureSpec():
            if spec.managed_identity:
                return "managed identity"
            if spec.client_secret is not None:
                return f"service principal {spec.client_id}, secret from {spec.client_secret}"
            return "Azure's default chain"


def _how_aws(spec: AwsSpec) -> str:
    if spec.source is not None:
        return f"credential {spec.source}"
    if spec.simulated:
        return "the simulated cloud"
    if spec.profile is not None:
        return f"profile {spec.profile}"
    if spec.access_key_id is not None:
        return f"access key from {spec.access_key_id}"
    return "AWS's default chain"
