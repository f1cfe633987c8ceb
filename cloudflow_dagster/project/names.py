"""Checks the names by which the parts of `cloudflow.yaml` refer to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cloudflow_dagster.credentials.spec import (
    PROVIDERS,
    AwsSecret,
    AwsSpec,
    CredentialSpec,
    EnvSecret,
    FileSecret,
    Reference,
    SecretSpec,
    SsmSecret,
)
from cloudflow_dagster.diagnostics.model import Diagnostics, Location, did_you_mean
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project.rules import (
    CYCLE,
    TWO_DEFAULTS,
    UNKNOWN_FIELD,
    UNKNOWN_NAME,
    WRONG_VALUE,
)

_Part = tuple[str, str]
"""`("credentials", name)` or `("secrets", name)`."""


@dataclass(frozen=True, slots=True)
class NameCheck:
    """Checks that every name means something, and that nothing needs itself.

    Attributes:
        credentials: Those that are valid.
        secrets: Those that are valid.
        sections: The whole file; a name is known also where what it names is not valid.
        top: The file.
        found: Receives what is wrong.
    """

    credentials: Mapping[str, CredentialSpec]
    secrets: Mapping[str, SecretSpec]
    sections: Mapping[str, Json]
    top: Location
    found: Diagnostics

    def run(self) -> dict[str, str]:
        """Check all names; return the default credential of each provider."""
        defaults = self._named_defaults()
        self._marked_defaults(defaults)
        needs: dict[_Part, list[tuple[_Part, Location]]] = {}
        for name, spec in self.credentials.items():
            needs["credentials", name] = _needs_of_credential(
                spec, self.top.at("credentials", name)
            )
        for name, secret in self.secrets.items():
            needs["secrets", name] = _needs_of_secret(
                secret, defaults, self.top.at("secrets", name)
            )
        for needed in needs.values():
            for (section, name), at in needed:
                self._known(section, name, at)
        self._check_providers()
        _find_cycle(needs, self.found)
        return defaults

    def _named_defaults(self) -> dict[str, str]:
        defaults: dict[str, str] = {}
        given = self.sections.get("default_credentials")
        if not isinstance(given, dict):
            if given is not None:
                self.found.add(
                    WRONG_VALUE,
                    self.top.at("default_credentials"),
                    "`default_credentials` is not a mapping.",
                    "Write `provider: name`, such as `aws: prod`.",
                )
            return defaults
        named: dict[str, Json] = given  # pyright: ignore[reportUnknownVariableType] - JSON
        for provider, name in named.items():
            at = self.top.at("default_credentials", provider)
            if provider not in PROVIDERS:
                self.found.add(
                    UNKNOWN_FIELD,
                    Location(self.top.file, at.pointer, on_key=True),
                    f"There is no provider `{provider}`.",
                    did_you_mean(provider, PROVIDERS)
                    or f"The providers are {', '.join(f'`{p}`' for p in PROVIDERS)}.",
                )
            elif not isinstance(name, str):
                self.found.add(
                    WRONG_VALUE, at, f"The default for `{provider}` is not a credential's name."
                )
            elif name not in self.credentials:
                self._known("credentials", name, at)
            elif self._is_for(name, provider, at):
                defaults[provider] = name
        return defaults

    def _marked_defaults(self, defaults: dict[str, str]) -> None:
        for name, spec in self.credentials.items():
            if spec.default and (other := defaults.setdefault(spec.provider, name)) != name:
                self.found.add(
                    TWO_DEFAULTS,
                    self.top.at("credentials", name, "default"),
                    f"Both `{other}` and `{name}` are to be the default for `{spec.provider}`.",
                    "Keep one of them.",
                )
        for provider in PROVIDERS:
            only = [n for n, s in self.credentials.items() if s.provider == provider]
            if len(only) == 1:
                defaults.setdefault(provider, only[0])

    def _check_providers(self) -> None:
        """Check that AWS is asked for with AWS credentials."""
        for name, spec in self.credentials.items():
            if isinstance(spec, AwsSpec) and spec.source and spec.source in self.credentials:
                self._is_for(spec.source, "aws", self.top.at("credentials", name, "source"))
        for name, secret in self.secrets.items():
            credential = None if isinstance(secret, EnvSecret | FileSecret) else secret.credential
            if credential and credential in self.credentials:
                self._is_for(credential, "aws", self.top.at("secrets", name, "credential"))

    def _is_for(self, name: str, provider: str, at: Location) -> bool:
        actual = self.credentials[name].provider
        if actual == provider:
            return True
        self.found.add(
            UNKNOWN_NAME,
            at,
            f"`{name}` is a credential for `{actual}`, not for `{provider}`.",
            did_you_mean(name, [n for n, s in self.credentials.items() if s.provider == provider])
            or f"Name a credential for `{provider}`.",
        )
        return False

    def _known(self, section: str, name: str, at: Location) -> None:
        known: Json = self.sections.get(section)
        names: list[str] = list(known) if isinstance(known, dict) else []  # pyright: ignore[reportUnknownArgumentType] - JSON
        if name in names:
            return
        what = "credential" if section == "credentials" else "secret"
        listed = ", ".join(f"`{n}`" for n in names[:10])
        self.found.add(
            UNKNOWN_NAME,
            at,
            f"There is no {what} `{name}` in this file.",
            did_you_mean(name, names)
            or (f"There are {listed}." if listed else f"Add it to `{section}`."),
        )


def _needs_of_credential(spec: CredentialSpec, at: Location) -> list[tuple[_Part, Location]]:
    needs: list[tuple[_Part, Location]] = []
    if isinstance(spec, AwsSpec) and spec.source is not None:
        needs.append((("credentials", spec.source), at.at("source")))
    for field in type(spec).model_fields:
        value = getattr(spec, field)
        if isinstance(value, Reference) and value.secret is not None:
            needs.append((("secrets", value.secret), at.at(field, "secret")))
    return needs


def _needs_of_secret(
    secret: SecretSpec, defaults: Mapping[str, str], at: Location
) -> list[tuple[_Part, Location]]:
    if not isinstance(secret, AwsSecret | SsmSecret):
        return []
    if secret.credential is not None:
        return [(("credentials", secret.credential), at.at("credential"))]
    return [(("credentials", defaults["aws"]), at)] if "aws" in defaults else []


def _find_cycle(needs: Mapping[_Part, list[tuple[_Part, Location]]], found: Diagnostics) -> None:
    """Walk from each part to what it needs; coming back to an open one closes a cycle."""
    seen: set[_Part] = set()
    for start in needs:
        if start in seen:
            continue
        seen.add(start)
        way = [(start, iter(needs[start]))]
        while way:
            need, at = next(way[-1][1], (None, None))
            if need is None or at is None:
                way.pop()
            elif need in (parts := [part for part, _ in way]):
                names = " → ".join(f"`{name}`" for _, name in (*parts[parts.index(need) :], need))
                found.add(
                    CYCLE,
                    at,
                    f"Each of these needs the next: {names}.",
                    "Let one of them begin with a profile, an environment variable or a file.",
                )
            elif need not in seen:
                seen.add(need)
                way.append((need, iter(needs.get(need, []))))
