"""A botocore session that reaches the simulated cloud, and nothing else."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

ACCESS_KEY = "AKIASIMULATEDCLOUD00"
SECRET_KEY = "the-simulated-cloud-checks-no-keys"  # noqa: S105 - opens nothing real
ACCOUNT = "123456789012"
"""The account of the fixed access key."""
SECOND_ACCOUNT = "222222222222"
"""Reached by assuming a role there."""
REGION = "us-east-1"

CLIENT_OPTIONS: dict[str, Any] = {
    # One address for everything, never behind a proxy, no account or bucket before it.
    "proxies": {},
    "inject_host_prefix": False,
    "s3": {"addressing_style": "path"},
}


@cache
def service_models() -> Any:
    """Return botocore's loader of service models, one for the whole process.

    It keeps every model that it has read (EC2's takes 0.1 to 0.3 s), whoever asked for it.
    """
    return importlib.import_module("botocore.loaders").create_loader()


class _Given:
    """Stands in for botocore's chain of credential providers."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        return self._credentials


def isolated_session(region: str | None = None, credentials: Any = None, models: Any = None) -> Any:
    """Return a session that looks at no environment variable and no file of this machine.

    Nothing that is meant for a real account (a profile, an endpoint, a FIPS switch, an access key)
    may reach the simulated cloud or break it.

    Args:
        region: Where clients work; us-east-1 if nobody says.
        credentials: botocore credentials; those of the first account if nobody says.
        models: A loader of service models; the one of this process if nobody says.
    """
    module = importlib.import_module("botocore.session")
    constants: dict[str, Any] = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in module.Session.SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        constants[file] = (None, None, os.devnull, None)
    session = module.Session(session_vars=constants)
    session.register_component("data_loader", models or service_models())
    session.set_config_variable("region", region or REGION)
    keys = importlib.import_module("botocore.credentials").Credentials
    session.register_component(
        "credential_provider",
        _Given(credentials or keys(ACCESS_KEY, SECRET_KEY, method="simulated")),
    )
    return session


class EstateAccount:
    """Makes clients for one account of the simulated cloud, for filling it.

    Args:
        endpoint: The simulated cloud's address.
        role: ARN of a role in another account to assume.
        models: As of `isolated_session`.
    """

    def __init__(self, endpoint: str, role: str | None = None, models: Any = None) -> None:
        self._endpoint = endpoint
        self._clients: dict[tuple[str, str], Any] = {}
        self._session = isolated_session(models=models)
        if role is not None:
            got = self.client("sts").assume_role(RoleArn=role, RoleSessionName="estate")
            keys: dict[str, str] = got["Credentials"]
            module = importlib.import_module("botocore.credentials")
            self._clients.clear()
            self._session = isolated_session(
                credentials=module.Credentials(
                    keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
                ),
                models=models,
            )

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a botocore client."""
        key = (service, region)
        if key not in self._clients:
            config = importlib.import_module("botocore.config").Config(
                **CLIENT_OPTIONS, retries={"mode": "standard", "total_max_attempts": 1}
            )
            self._clients[key] = self._session.create_client(
                service, region_name=region, endpoint_url=self._endpoint, config=config
            )
        return self._clients[key]

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
