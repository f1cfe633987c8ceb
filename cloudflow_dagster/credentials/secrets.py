"""Secrets of a project by name, wherever they lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloudflow_dagster.credentials.aws_errors import error_code, explain
from cloudflow_dagster.credentials.errors import CredentialError, SecretError
from cloudflow_dagster.credentials.sources import (
    as_text,
    pick_member,
    read_environment,
    read_file,
)
from cloudflow_dagster.credentials.spec import (
    AwsSecret,
    EnvSecret,
    FileSecret,
    SecretSpec,
    SsmSecret,
)
from cloudflow_dagster.credentials.values import OnValue, SecretValues
from cloudflow_dagster.diagnostics.model import did_you_mean

LoginByName = Callable[[str | None, str, str | None], Any]
"""`Credentials.login`: name, provider and region to a login."""

_NOT_THERE = frozenset(
    {"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"}
)


class Secrets:
    """The secrets that a project names.

    A value is fetched when it is first asked for, and kept as long as this object: take a new one
    for each run (`for_run`), so that a changed secret is seen by the next run.

    Args:
        specs: Where each secret lies.
        root: The project's folder.
        login: Logs in to the account that a secret lies in.
        values: Is told every value before it is returned.
    """

    def __init__(
        self,
        specs: Mapping[str, SecretSpec],
        *,
        root: Path,
        login: LoginByName,
        values: SecretValues | None = None,
        on_value: OnValue | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._root = root
        self._login = login
        self._values = values or SecretValues()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._cache: dict[str, str] = {}
        if on_value is not None:
            self._values.listen(on_value)

    def for_run(self, on_value: OnValue | None = None) -> Secrets:
        """Return the same secrets with nothing fetched yet.

        Args:
            on_value: Is told the values from now on, and those seen before.
        """
        return Secrets(
            self._specs,
            root=self._root,
            login=self._login,
            values=self._values,
            on_value=on_value,
        )

    def listen(self, on_value: OnValue) -> Callable[[], None]:
        """Tell a listener every value, past and to come; returns what ends that."""
        return self._values.listen(on_value)

    def names(self) -> list[str]:
        """Return the names of all secrets, sorted."""
        return sorted(self._specs)

    def spec(self, name: str) -> SecretSpec | None:
        """Return where a secret lies, or None if there is none of this name."""
        return self._specs.get(name)

    def suggest(self, name: str) -> str | None:
        """Return a suggestion sentence for a name that is not there, or None."""
        return did_you_mean(name, self._specs)

    def get(self, name: str) -> str:
        """Return a secret's value.

        Raises:
            SecretError: There is no such secret, or it cannot be read; says what to do.
        """
        with self._lock:
            own = self._locks.setdefault(name, threading.Lock())
        # One lock for each name: branches that need the same secret fetch it once, and a slow
        # store holds up nobody who needs another.
        with own:
            if name not in self._cache:
                self._cache[name] = self._fetch(name)
            return self._cache[name]

    def _fetch(self, name: str) -> str:
        spec = self._specs.get(name)
        if spec is None:
            raise SecretError(
                "NoSuchSecret",
                f"The project has no secret `{name}`.",
                self.suggest(name) or f"Add `{name}` to `secrets` in `cloudflow.yaml`.",
            )
        value = self._read(name, spec)
        self._values.add(value)
        if spec.json_key is not None:
            value = pick_member(value, spec.json_key, f"The secret `{name}`")
            self._values.add(value)
        if not value:
            raise SecretError(
                "EmptySecret", f"The secret `{name}` is empty.", "Give it a value where it lies."
            )
        return value

    def _read(self, name: str, spec: SecretSpec) -> str:
        match spec:
            case EnvSecret():
                return read_environment(spec.env)
            case FileSecret():
                return read_file(spec.file, self._root)
            case AwsSecret():
                return self._from_aws(
                    name,
                    spec,
                    lambda login: _secret_text(
                        login.client("secretsmanager").get_secret_value(SecretId=spec.aws_secret),
                        name,
                    ),
                )
            case SsmSecret():
                return self._from_aws(
                    name,
                    spec,
                    lambda login: login.client("ssm").get_parameter(
                        Name=spec.ssm_parameter, WithDecryption=True
                    )["Parameter"]["Value"],
                )

    def _from_aws(self, name: str, spec: AwsSecret | SsmSecret, fetch: Callable[[Any], str]) -> str:
        where = spec.aws_secret if isinstance(spec, AwsSecret) else spec.ssm_parameter
        store = "Secrets Manager" if isinstance(spec, AwsSecret) else "the SSM parameter store"
        try:
            return fetch(self._login(spec.credential, "aws", spec.region))
        except SecretError:
            raise
        except CredentialError as error:
            raise SecretError(
                error.code,
                f"The secret `{name}` cannot be read: {error.problem}",
                error.way_out,
                transient=error.transient,
            ) from None
        except Exception as error:
            if error_code(error) in _NOT_THERE:
                raise SecretError(
                    "NoSuchSecret",
                    f"There is no `{where}` in {store} for the secret `{name}`.",
                    "Create it, or correct its name, credential or region in `cloudflow.yaml`.",
                ) from None
            why = explain(error) or CredentialError(
                error_code(error) or type(error).__name__,
                f"{error}.",
                "Try again; if it stays so, read it with `aws` on this machine.",
                transient=True,
            )
            raise SecretError(
                why.code,
                f"The secret `{name}` (`{where}` in {store}) cannot be read: {why.problem}",
                why.way_out,
                transient=why.transient,
            ) from None


def _secret_text(answer: Mapping[str, Any], name: str) -> str:
    if "SecretString" in answer:
        return answer["SecretString"]
    return as_text(answer["SecretBinary"], f"The secret `{name}`")
