"""Makes AWS logins from what `cloudflow.yaml` says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.credentials.aws_errors import error_code, explain
from cloudflow_dagster.credentials.aws_session import (
    open_session,
    report_credentials,
    static_credentials,
    use_credentials,
)
from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.credentials.spec import AwsSpec, Reference
from cloudflow_dagster.credentials.values import SecretValues
from cloudflow_dagster.simulator.session import isolated_session

Read = Callable[[Reference | str], str]
"""Gives the value that a reference stands for; raises `SecretError`."""


def log_in(
    name: str,
    spec: AwsSpec,
    *,
    source: AwsLogin | None,
    simulated_endpoint: str | None,
    read: Read,
    values: SecretValues,
) -> AwsLogin:
    """Return the login that a credential describes. Talks to nobody yet.

    Args:
        name: The credential's name.
        spec: How to log in.
        source: The login of the credential that `source` names.
        simulated_endpoint: The simulated cloud's address, if the credential is simulated.
        read: Reads references.
        values: Is told every key and token.

    Raises:
        CredentialError: There is no such profile.
        SecretError: A reference cannot be read.
    """
    try:
        base = source or _base(
            name, spec, simulated_endpoint=simulated_endpoint, read=read, values=values
        )
        if spec.role_arn is None:
            return base
        return _assume(name, spec, base, read=read, values=values)
    except Exception as error:
        # This machine's AWS configuration may be broken, whatever the credential says.
        why = explain(error)
        if why is None:
            raise
        raise why from error


def _base(
    name: str,
    spec: AwsSpec,
    *,
    simulated_endpoint: str | None,
    read: Read,
    values: SecretValues,
) -> AwsLogin:
    if spec.simulated:
        return AwsLogin(
            name,
            isolated_session(spec.region),
            region=spec.region,
            endpoint=simulated_endpoint,
            simulated=True,
        )
    session = open_session(profile=spec.profile, region=spec.region)
    if spec.access_key_id is not None and spec.secret_access_key is not None:
        token = None if spec.session_token is None else read(spec.session_token)
        keys = static_credentials(read(spec.access_key_id), read(spec.secret_access_key), token)
        use_credentials(session, keys, values)
    else:
        report_credentials(session, values)
    return AwsLogin(name, session, region=spec.region, endpoint=spec.endpoint)


def _assume(
    name: str, spec: AwsSpec, base: AwsLogin, *, read: Read, values: SecretValues
) -> AwsLogin:
    request: dict[str, Any] = {
        "RoleArn": read(spec.role_arn or ""),
        "RoleSessionName": spec.session_name,
        "DurationSeconds": spec.duration,
    }
    if spec.external_id is not None:
        request["ExternalId"] = read(spec.external_id)
        if isinstance(spec.external_id, Reference):
            # Not quite a secret, but somebody took the trouble to keep it out of the file.
            values.add(request["ExternalId"])
    region = spec.region or base.region

    def fetch() -> dict[str, str]:
        sts = base.client("sts", region=region or "us-east-1", timeout=20)
        try:
            got: Any = sts.assume_role(**request)["Credentials"]
        except Exception as error:
            raise _refused(name, request, error) from error
        return {
            "access_key": got["AccessKeyId"],
            "secret_key": got["SecretAccessKey"],
            "token": got["SessionToken"],
            "expiry_time": got["Expiration"].isoformat(),
        }

    session = isolated_session(region) if base.simulated else open_session(region=region)
    refreshed = importlib.import_module("botocore.credentials").DeferredRefreshableCredentials(
        fetch, "assume-role"
    )
    use_credentials(session, refreshed, values)
    return AwsLogin(
        name,
        session,
        region=region,
        endpoint=spec.endpoint or base.endpoint,
        simulated=base.simulated,
    )


def _refused(name: str, request: dict[str, Any], error: Exception) -> CredentialError:
    role = request["RoleArn"]
    why = explain(error)
    if why is not None and why.code != "AccessDenied":
        return CredentialError(
            why.code,
            f"The role `{role}` of the credential `{name}` cannot be assumed: {why.problem}",
            why.way_out,
            transient=why.transient,
        )
    problem = why.problem if why is not None else f"AWS says: {error}."
    external = (
        "the `external_id` that it sends"
        if "ExternalId" in request
        else "the missing `external_id`, if the policy asks for one"
    )
    return CredentialError(
        "AccessDenied" if why is not None else error_code(error) or type(error).__name__,
        f"The role `{role}` of the credential `{name}` cannot be assumed: {problem}",
        "The role's trust policy must name who assumes it, who needs the permission "
        f"`sts:AssumeRole` on the role; check its ARN and {external}.",
    )
