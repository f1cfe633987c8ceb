"""Checks the parts of `cloudflow.yaml` and turns them into what the rooms below work with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from cloudflow_dagster.credentials.spec import (
    PROVIDERS,
    SECRET_SOURCES,
    CredentialSpec,
    SecretSpec,
)
from cloudflow_dagster.diagnostics.model import Diagnostics, Location, Rule, did_you_mean
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project.literals import find_literal_secrets
from cloudflow_dagster.project.names import NameCheck
from cloudflow_dagster.project.rules import (
    BAD_NAME,
    CONTRADICTION,
    LITERAL_SECRET,
    MISSING_FIELD,
    UNKNOWN_FIELD,
    WRONG_VALUE,
)
from cloudflow_dagster.project.settings import Settings

SECTIONS: dict[str, str] = {
    "credentials": "The accounts that flows work in, and how to log in to each, by name.",
    "default_credentials": (
        "For each provider the name of the credential of nodes that name none. With one credential "
        "of a provider it is the default without this."
    ),
    "secrets": "Where each secret lies that flows read with `$secret('name')`, by name.",
    "variables": "JSON values that flows read as `vars.<name>`.",
    "settings": "What the project allows and prefers.",
}
_CREDENTIAL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,127}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_POINT_TO_IT = "Write where it lies: `{env: NAME}`, `{file: PATH}` or `{secret: NAME}`."

_WRITTEN_LIKE = {
    "region": "A region is written like `eu-central-1`.",
    "location": "A location is written like `europe-west1` or `westeurope`.",
    "session_name": "It has 2 to 64 letters, digits and `_+=,.@-`.",
}

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class ProjectFile:
    """The contents of a project file."""

    credentials: dict[str, CredentialSpec] = field(default_factory=dict[str, CredentialSpec])
    defaults: dict[str, str] = field(default_factory=dict[str, str])
    secrets: dict[str, SecretSpec] = field(default_factory=dict[str, SecretSpec])
    variables: dict[str, Json] = field(default_factory=dict[str, Json])
    settings: Settings = field(default_factory=Settings)


def check_project_file(data: Json, file: str, found: Diagnostics) -> ProjectFile:
    """Return what is usable of a project file; what is not is a diagnostic.

    Args:
        data: The file's values.
        file: Its path, as shown to people.
        found: Receives what is wrong.
    """
    top = Location(file)
    project = ProjectFile()
    if data is None:
        return project
    sections = _mapping(data, top, found, "The project file")
    for name in sections:
        if name not in SECTIONS:
            found.add(
                UNKNOWN_FIELD,
                Location(file, top.pointer / name, on_key=True),
                f"The project file has no section `{name}`.",
                did_you_mean(name, SECTIONS) or f"Its sections are {_listed(SECTIONS)}.",
            )
    for name, entry, at in _entries(sections, "credentials", _CREDENTIAL_NAME, top, found):
        spec = _credential(name, entry, at, found)
        if spec is not None:
            project.credentials[name] = spec
    for name, entry, at in _entries(sections, "secrets", _SECRET_NAME, top, found):
        secret = _secret(name, entry, at, found)
        if secret is not None:
            project.secrets[name] = secret
    for name, entry, _ in _entries(sections, "variables", _VARIABLE_NAME, top, found):
        project.variables[name] = entry
    settings = sections.get("settings")
    if settings is not None:
        at = top.at("settings")
        given = _mapping(settings, at, found, "`settings`")
        project.settings = _validate(Settings, given, at, found, "settings") or Settings()
    check = NameCheck(project.credentials, project.secrets, sections, top, found)
    project.defaults = check.run()
    find_literal_secrets(sections, top, found)
    return project


def _mapping(value: Json, at: Location, found: Diagnostics, what: str) -> dict[str, Json]:
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType] - JSON keys are text
    if value is not None:
        found.add(
            WRONG_VALUE,
            at,
            f"{what} is {_kind(value)}, not a mapping.",
            "Write `name: value` lines, indented below it.",
        )
    return {}


def _entries(
    sections: Mapping[str, Json],
    section: str,
    names: re.Pattern[str],
    top: Location,
    found: Diagnostics,
) -> Iterable[tuple[str, Json, Location]]:
    at = top.at(section)
    for name, entry in _mapping(sections.get(section), at, found, f"`{section}`").items():
        here = at.at(name)
        if not names.fullmatch(name):
            usable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            found.add(
                BAD_NAME,
                Location(top.file, here.pointer, on_key=True),
                f"`{name}` cannot be a name in `{section}`.",
                f"Call it `{usable}`." if names.fullmatch(usable) else "Begin it with a letter.",
            )
        yield name, entry, here


def _credential(name: str, entry: Json, at: Location, found: Diagnostics) -> CredentialSpec | None:
    what = f"The credential `{name}`"
    if not isinstance(entry, dict):
        found.add(
            WRONG_VALUE,
            at,
            f"{what} is {_kind(entry)}, not a mapping.",
            "Write at least its provider: `{provider: aws}`.",
        )
        return None
    fields = _mapping(entry, at, found, what)
    provider = fields.get("provider")
    if provider is None:
        found.add(
            MISSING_FIELD,
            at,
            f"{what} has no `provider`.",
            f"Add `provider: aws`; the providers are {_listed(PROVIDERS)}.",
        )
        return None
    if not isinstance(provider, str) or provider not in PROVIDERS:
        found.add(
            WRONG_VALUE,
            at.at("provider"),
            f"{what} has an unknown provider.",
            did_you_mean(str(provider), PROVIDERS) or f"The providers are {_listed(PROVIDERS)}.",
        )
        return None
    return _validate(PROVIDERS[provider], fields, at, found, f"credential for `{provider}`")


def _secret(name: str, entry: Json, at: Location, found: Diagnostics) -> SecretSpec | None:
    what = f"The secret `{name}`"
    if not isinstance(entry, dict):
        found.add(
            LITERAL_SECRET,
            at,
            f"{what} does not say where its value lies.",
            "Write `{env: NAME}`, `{file: PATH}`, `{aws_secret: NAME}` or `{ssm_parameter: NAME}`.",
        )
        return None
    fields = _mapping(entry, at, found, what)
    sources = [s for s in SECRET_SOURCES if s in fields]
    if len(sources) > 1:
        found.add(
            CONTRADICTION,
            at.at(sources[1]),
            f"{what} lies both in `{sources[0]}` and in `{sources[1]}`.",
            "Keep one of them.",
        )
        return None
    if not sources:
        unknown = [f for f in fields if f not in {"json_key", "credential", "region"}]
        close = did_you_mean(unknown[0], SECRET_SOURCES) if unknown else None
        found.add(
            UNKNOWN_FIELD if unknown else MISSING_FIELD,
            Location(at.file, at.pointer / unknown[0], on_key=True) if unknown else at,
            f"{what} does not say where its value lies.",
            close or f"Give one of {_listed(SECRET_SOURCES)}.",
        )
        return None
    return _validate(SECRET_SOURCES[sources[0]], fields, at, found, f"`{sources[0]}` secret")


def _validate(
    model: type[Model], fields: Mapping[str, Json], at: Location, found: Diagnostics, what: str
) -> Model | None:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            _report(model, problem, at, found, what)
        return None


def _report(
    model: type[BaseModel], problem: Any, at: Location, found: Diagnostics, what: str
) -> None:
    # Parts with `#` name a member of a union, not of the file.
    path = tuple(p for p in problem["loc"] if not str(p).startswith("#"))
    here = at.at(*path)
    kind: str = problem["type"]
    message: str = problem["msg"].rstrip(".")
    field_name = str(path[-1]) if path else ""
    rule: Rule = WRONG_VALUE
    suggestion: str | None = None
    match kind:
        case "extra_forbidden":
            known = _fields_at(model, path[:-1])
            rule = UNKNOWN_FIELD
            here = Location(at.file, here.pointer, on_key=True)
            where = f"`{path[-2]}`" if len(path) > 1 else f"A {what}"
            message = f"{where} has no field `{field_name}`"
            suggestion = did_you_mean(field_name, known) or f"Its fields are {_listed(known)}."
        case "missing":
            rule = MISSING_FIELD
            message = f"A {what} needs the field `{field_name}`"
        case "literal_secret":
            rule, suggestion = LITERAL_SECRET, _POINT_TO_IT
        case "two_ways" | "half" | "one_of":
            rule = CONTRADICTION
        case "string_pattern_mismatch":
            message = f"`{field_name}` is not written like one"
            suggestion = _WRITTEN_LIKE.get(field_name, f"It matches `{problem['ctx']['pattern']}`.")
        case "bool_parsing" | "bool_type":
            message, suggestion = f"`{field_name}` is not a truth value", "Write `true` or `false`."
        case _:
            message = f"`{field_name}`: {message[:1].lower()}{message[1:]}"
    found.add(rule, here, f"{message}.", suggestion)


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Return the fields of what lies at a path of a model."""
    for part in path:
        # A part that is no field is the name of an entry.
        known = model.model_fields.get(str(part))
        inner = _model_in(known.annotation) if known else None
        model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation names, alone or among others."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)
