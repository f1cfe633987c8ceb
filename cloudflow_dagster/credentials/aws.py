"""Logs in to AWS accounts, real and simulated."""

from __future__ import annotations

import importlib
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from cloudflow_dagster.credentials.aws_errors import explain
from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.identity import Identity
from cloudflow_dagster.simulator.session import CLIENT_OPTIONS

DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for an answer when nobody says."""
_CONNECT_TIMEOUT = 10.0
_KEPT_CLIENTS = 256
_CONNECTIONS = 50
"""For each client: more than a loop's default concurrency, so that items do not wait for one."""

# botocore's sessions and loaders are not made for several threads; its clients are.
_creating = threading.Lock()


@dataclass(slots=True)
class _Clients:
    """The clients made with one session, least recently used first."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opening: threading.Lock = field(default_factory=threading.Lock)
    made: OrderedDict[tuple[Any, ...], Any] = field(
        default_factory=OrderedDict[tuple[Any, ...], Any]
    )


class AwsLogin:
    """Access to one AWS account.

    Attributes:
        name: The credential's name.
        region: Where clients work that are asked for without a region; None if nothing names one.
        endpoint: The address of every service, or None for AWS's own.
        simulated: Whether this is the simulated cloud.
    """

    provider = "aws"

    def __init__(
        self,
        name: str,
        session: Any,
        *,
        region: str | None,
        endpoint: str | None = None,
        simulated: bool = False,
        clients: _Clients | None = None,
    ) -> None:
        self.name = name
        self.region: str | None = region or session.get_config_variable("region")
        self.endpoint = endpoint
        self.simulated = simulated
        self._session = session
        self._clients = clients or _Clients()

    def __repr__(self) -> str:
        return f"AwsLogin({self.name!r}, region={self.region!r}, simulated={self.simulated})"

    def in_region(self, region: str | None) -> AwsLogin:
        """Return the same login with another default region; clients are shared."""
        if region is None or region == self.region:
            return self
        return AwsLogin(
            self.name,
            self._session,
            region=region,
            endpoint=self.endpoint,
            simulated=self.simulated,
            clients=self._clients,
        )

    def client(
        self,
        service: str,
        *,
        region: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """Return a botocore client; asking again is cheap, and any thread may.

        Args:
            service: botocore's name of the service (`ec2`).
            region: Overrides the login's region.
            timeout: Seconds to wait for an answer; rounded down by up to a tenth, so that few
                clients are made. Without it 60.
            retries: How often botocore itself repeats a request that failed in a transient way.
                Without it twice; not at all against the simulated cloud, whose failures stay.

        Raises:
            CredentialError: No region is known, or there are no credentials to sign with.
        """
        region = region or self.region
        seconds = _settle(timeout)
        repeats = retries if retries is not None else (0 if self.simulated else 2)
        key = (service, region, seconds, repeats)
        with self._clients.lock:
            if key in self._clients.made:
                self._clients.made.move_to_end(key)
                return self._clients.made[key]
        made = self._create(service, region, seconds, repeats)
        with self._clients.lock:
            client = self._clients.made.setdefault(key, made)
            if len(self._clients.made) > _KEPT_CLIENTS:
                self._clients.made.popitem(last=False)
            return client

    def _create(self, service: str, region: str | None, seconds: float, repeats: int) -> Any:
        options: dict[str, Any] = {
            "user_agent_extra": "cloudflow",
            "read_timeout": seconds,
            "connect_timeout": min(seconds, _CONNECT_TIMEOUT),
            "max_pool_connections": _CONNECTIONS,
            "retries": {"mode": "standard", "total_max_attempts": repeats + 1},
        }
        if self.simulated:
            options |= CLIENT_OPTIONS
        config = importlib.import_module("botocore.config").Config(**options)
        try:
            with self._clients.opening:
                # Finding the default chain's credentials may take seconds; others do not wait.
                self._session.get_credentials()
            with _creating:
                return self._session.create_client(
                    service, region_name=region, endpoint_url=self.endpoint, config=config
                )
        except Exception as error:
            why = explain(error)
            if why is None:
                raise
            raise why from error

    def identity(self, *, timeout: float = 10) -> Identity:
        """Ask AWS who one is.

        Raises:
            CredentialError: One is not logged in; says why and what to do.
        """
        # STS answers everywhere; a login without a region can still be asked about.
        client = self.client("sts", region=self.region or "us-east-1", timeout=timeout)
        try:
            answer = client.get_caller_identity()
        except Exception as error:
            why = explain(error)
            if why is not None:
                raise why from error
            raise CredentialError(
                type(error).__name__,
                f"AWS did not say who one is: {error}",
                "Check the network and the credential in `cloudflow.yaml`.",
            ) from error
        return Identity(account=str(answer["Account"]), who=str(answer["Arn"]))

    def explain(self, error: Exception) -> CredentialError | None:
        """Return why the login failed in a call, or None if it failed for another reason."""
        return explain(error)


def _settle(timeout: float | None) -> float:
    """Round down to one of few values: remaining times differ from call to call."""
    if timeout is None:
        return DEFAULT_TIMEOUT
    if timeout <= 1:
        return 1.0
    return round(1.1 ** math.floor(math.log(timeout, 1.1) + 1e-9), 2)
