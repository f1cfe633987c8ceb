"""How to log in to an account; secrets."""

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.credentials.azure import AzureLogin
from cloudflow_dagster.credentials.by_name import (
    Credentials,
    CredentialSummary,
    Login,
    LoginCheck,
)
from cloudflow_dagster.credentials.errors import CredentialError, SecretError
from cloudflow_dagster.credentials.gcp import GcpLogin
from cloudflow_dagster.credentials.identity import Identity
from cloudflow_dagster.credentials.secrets import Secrets
from cloudflow_dagster.credentials.values import SecretValues

__all__ = [
    "AwsLogin",
    "AzureLogin",
    "CredentialError",
    "CredentialSummary",
    "Credentials",
    "GcpLogin",
    "Identity",
    "Login",
    "LoginCheck",
    "SecretError",
    "SecretValues",
    "Secrets",
]
