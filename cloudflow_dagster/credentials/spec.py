"""How to log in to an account, and where a secret lies, as written in `cloudflow.yaml`.

A value that is secret is never written there, only a reference to where it lies. The fields'
docstrings are the reference documentation (`docs/project-file.md` is made from them).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError


class SpecPart(BaseModel):
    """A part of the project file: immutable, and nothing in it that is not known."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
        coerce_numbers_to_str=True,
    )


Name = Annotated[str, Field(min_length=1, max_length=512)]


class Reference(SpecPart):
    """Where a value lies: exactly one of these."""

    env: Name | None = None
    """Name of an environment variable of the process that runs the flow."""
    file: Name | None = None
    """Path of a file, relative to the project's folder; a trailing newline is left out."""
    secret: Name | None = None
    """Name of a secret of this project."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Reference:
        if len([v for v in (self.env, self.file, self.secret) if v is not None]) != 1:
            raise PydanticCustomError(
                "one_of", "A reference has exactly one of `env`, `file` and `secret`."
            )
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        return f"file {self.file}" if self.file is not None else f"secret {self.secret}"


def _refuse_literal(value: Any) -> Any:
    if value is None or isinstance(value, dict | Reference):
        return value  # pyright: ignore[reportUnknownVariableType] - checked by what follows
    raise PydanticCustomError("literal_secret", "A secret value must not stand in this file.")


def _written_as(value: Any) -> str:
    return "#reference" if isinstance(value, dict | Reference) else "#text"


SecretValue: TypeAlias = Annotated[Reference, BeforeValidator(_refuse_literal)]
"""A value that must not stand in the file."""

Text: TypeAlias = Annotated[
    Annotated[Reference, Tag("#reference")] | Annotated[Name, Tag("#text")],
    Discriminator(_written_as),
]
"""A value that may stand in the file, or be referred to. The tags are in the places of errors."""


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("literal_secret", "The address holds a user name or password.")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PydanticCustomError(
            "address", "An endpoint is an address such as `https://sqs.eu-west-1.example.com`."
        )
    return value


Region = Annotated[str, Field(pattern=r"^[a-z]{2,}[a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]


class AwsSpec(SpecPart):
    """An AWS account.

    Without any of `simulated`, `profile` and `access_key_id` it is AWS's own default chain:
    environment variables, the default profile, SSO, a container's or an instance's role.
    """

    provider: Literal["aws"]
    region: Region | None = None
    """Where nodes work that name no `region` themselves."""
    simulated: bool = False
    """The simulated AWS account of `cloudflow dev`; nothing real is ever touched."""
    profile: Name | None = None
    """A profile of `~/.aws/config` or `~/.aws/credentials`."""
    access_key_id: SecretValue | None = None
    """Reference to an access key's id."""
    secret_access_key: SecretValue | None = None
    """Reference to the secret that belongs to the access key."""
    session_token: SecretValue | None = None
    """Reference to the session token, if the access key is a temporary one."""
    role_arn: Text | None = None
    """A role to assume, with the login that the other fields describe, or with `source`."""
    source: Name | None = None
    """Name of the credential that assumes the role."""
    external_id: Text | None = None
    """The external id that the role's trust policy asks for."""
    session_name: Annotated[str, Field(pattern=r"^[\w+=,.@-]{2,64}$")] = "cloudflow"
    """What the role's sessions are called in CloudTrail."""
    duration: Annotated[int, Field(ge=900, le=43_200)] = 3600
    """Seconds that a session of the role lasts; it is renewed before it ends."""
    endpoint: Annotated[str, AfterValidator(_web_address)] | None = None
    """Another address for every service, such as a private gateway or an emulator."""
    default: bool = False
    """The credential of nodes of this provider that name none."""

    @model_validator(mode="after")
    def _one_way_in(self) -> AwsSpec:
        ways = [
            way
            for way, given in (
                ("simulated", self.simulated),
                ("profile", self.profile),
                ("access_key_id", self.access_key_id),
                ("source", self.source),
            )
            if given
        ]
        if len(ways) > 1:
            raise PydanticCustomError(
                "two_ways",
                "`{first}` and `{second}` are two ways to log in; leave one out.",
                {"first": ways[0], "second": ways[1]},
            )
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise PydanticCustomError(
                "half", "`access_key_id` and `secret_access_key` belong together."
            )
        if self.session_token is not None and self.access_key_id is None:
            raise PydanticCustomError("half", "`session_token` belongs to an `access_key_id`.")
        if self.role_arn is None and (self.source is not None or self.external_id is not None):
            field = "source" if self.source is not None else "external_id"
            raise PydanticCustomError(
                "half", "`{field}` belongs to a `role_arn`.", {"field": field}
            )
        if self.simulated and self.endpoint is not None:
            raise PydanticCustomError(
                "two_ways", "`simulated` brings its own `endpoint`; leave one out."
            )
        return self


class GcpSpec(SpecPart):
    """A Google Cloud project.

    Without `service_account_file` and `service_account_json` it is Google's application default
    credentials.
    """

    provider: Literal["gcp"]
    project: Text | None = None
    """Id of the Google Cloud project."""
    location: Region | None = None
    """The region or zone where nodes work that name none themselves."""
    service_account_file: Name | None = None
    """Path of a key file, relative to the project's folder."""
    service_account_json: SecretValue | None = None
    """Reference to the text of a key file."""
    impersonate: Text | None = None
    """E-mail address of a service account to act as."""
    default: bool = False
    """The credential of nodes of this provider that name none."""

    @model_validator(mode="after")
    def _one_way_in(self) -> GcpSpec:
        if self.service_account_file is not None and self.service_account_json is not None:
            raise PydanticCustomError(
                "two_ways",
                "`service_account_file` and `service_account_json` are two ways to log in; "
                "leave one out.",
            )
        return self


class AzureSpec(SpecPart):
    """An Azure subscription.

    Without `client_id` and `managed_identity` it is Azure's default chain: environment variables,
    workload identity, managed identity, the command line's login.
    """

    provider: Literal["azure"]
    subscription: Text | None = None
    """Id of the subscription."""
    location: Region | None = None
    """The region where nodes work that name none themselves."""
    tenant_id: Text | None = None
    """The directory (tenant) of the service principal."""
    client_id: Text | None = None
    """The application (client) id of the service principal, or of a user-assigned identity."""
    client_secret: SecretValue | None = None
    """Reference to the service principal's secret."""
    managed_identity: bool = False
    """The identity of the machine that runs the flow; with `client_id` a user-assigned one."""
    default: bool = False
    """The credential of nodes of this provider that name none."""

    @model_validator(mode="after")
    def _one_way_in(self) -> AzureSpec:
        principal = (self.tenant_id, self.client_id, self.client_secret)
        if self.managed_identity:
            if self.client_secret is not None or self.tenant_id is not None:
                raise PydanticCustomError(
                    "two_ways",
                    "`managed_identity` and a service principal are two ways to log in; "
                    "leave one out.",
                )
        elif any(principal) and not all(principal):
            raise PydanticCustomError(
                "half", "A service principal needs `tenant_id`, `client_id` and `client_secret`."
            )
        return self


CredentialSpec: TypeAlias = AwsSpec | GcpSpec | AzureSpec
"""How to log in to one account."""

PROVIDERS: dict[str, type[AwsSpec | GcpSpec | AzureSpec]] = {
    "aws": AwsSpec,
    "gcp": GcpSpec,
    "azure": AzureSpec,
}


class EnvSecret(SpecPart):
    """A secret in an environment variable."""

    env: Name
    """Name of an environment variable of the process that runs the flow."""
    json_key: Name | None = None
    """The value is a JSON object, and the secret the member of this name."""


class FileSecret(SpecPart):
    """A secret in a file."""

    file: Name
    """Path relative to the project's folder; a trailing newline is left out."""
    json_key: Name | None = None
    """The file is a JSON object, and the secret the member of this name."""


class AwsSecret(SpecPart):
    """A secret in AWS Secrets Manager."""

    aws_secret: Name
    """Name or ARN of the secret."""
    json_key: Name | None = None
    """The secret is a JSON object, and the value the member of this name."""
    credential: Name | None = None
    """Whose account; without it the default AWS credential."""
    region: Region | None = None
    """Overrides the credential's region."""


class SsmSecret(SpecPart):
    """A secret in the parameter store of AWS Systems Manager."""

    ssm_parameter: Name
    """Name or ARN of the parameter; a SecureString is decrypted."""
    json_key: Name | None = None
    """The parameter is a JSON object, and the value the member of this name."""
    credential: Name | None = None
    """Whose account; without it the default AWS credential."""
    region: Region | None = None
    """Overrides the credential's region."""


SecretSpec: TypeAlias = EnvSecret | FileSecret | AwsSecret | SsmSecret
"""Where one secret lies."""

SECRET_SOURCES: dict[str, type[EnvSecret | FileSecret | AwsSecret | SsmSecret]] = {
    "env": EnvSecret,
    "file": FileSecret,
    "aws_secret": AwsSecret,
    "ssm_parameter": SsmSecret,
}
