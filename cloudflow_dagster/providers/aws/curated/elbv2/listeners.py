"""Listeners of load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.operations import Operations

_TLS = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""What AWS recommends and its console chooses; its API would choose one of 2016, with TLS 1.0.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
"""


class Listener(BaseModel):
    """What is done with the requests that come to a port."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    port: Annotated[int, Field(ge=1, le=65535, description="Where they come.")]
    certificate: Annotated[
        str | None,
        one("arn", "CertificateArn"),
        Field(description="ARN of one of ACM; with it, the port speaks HTTPS."),
        ONE,
    ] = None
    forward: Annotated[
        str | None, Field(description="Name of the target group to which they are sent.")
    ] = None
    redirect_to_https: Annotated[
        bool, Field(description="Whether they are told to come back with HTTPS, to port 443.")
    ] = False

    tls_policy: Annotated[
        str | None,
        Field(
            min_length=1,
            description="AWS's name for which versions and ciphers of TLS it speaks with a "
            f"`certificate`; if not given, `{_TLS}`.",
        ),
    ] = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if bool(self.forward) is self.redirect_to_https:
            raise ValueError("give either `forward` or `redirect_to_https`")
        if self.tls_policy and not self.certificate:
            raise ValueError("`tls_policy` needs a `certificate`")
        if self.certificate and not self.tls_policy:
            self.tls_policy = _TLS
        return self


def find_listeners(aws: Operations, balancer: str) -> list[dict[str, Any]]:
    """Return the listeners of a load balancer, given its ARN."""
    return aws.pages("elbv2.DescribeListeners", LoadBalancerArn=balancer).get("Listeners", [])


def listener_as_written(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Json]:
    """Return a listener as an author writes it; one that does something else is another one."""
    actions: list[dict[str, Any]] = found.get("DefaultActions") or []
    action = actions[-1] if actions else dict[str, Any]()
    certificates: list[dict[str, Any]] = found.get("Certificates") or []
    made: dict[str, Json] = {
        "port": found["Port"],
        "redirect_to_https": action.get("Type") == "redirect"
        and action.get("RedirectConfig", {}).get("Protocol") == "HTTPS",
    }
    if certificates:
        made["certificate"] = certificates[0]["CertificateArn"]
        made["tls_policy"] = found.get("SslPolicy")
    if action.get("Type") == "forward":
        made["forward"] = names.get(action.get("TargetGroupArn", ""), "another load balancer's")
    return made


def listener_as_asked_for(listener: Listener, arns: Mapping[str, str]) -> dict[str, Json]:
    """Return a listener as AWS takes it."""
    if listener.redirect_to_https:
        to: dict[str, Json] = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        action: dict[str, Json] = {"Type": "redirect", "RedirectConfig": to}
    elif (group := arns.get(listener.forward or "")) is not None:
        action = {"Type": "forward", "TargetGroupArn": group}
    else:
        raise NodeError(
            "InvalidConfig",
            f"`listeners`: `{listener.forward}` is none of the load balancer's target groups: "
            "describe it in `target_groups`.",
            transient=False,
        )
    certificate = listener.certificate
    return {
        "Port": listener.port,
        "Protocol": "HTTPS" if certificate else "HTTP",
        "SslPolicy": listener.tls_policy,
        "Certificates": [{"CertificateArn": certificate}] if certificate else None,
        "DefaultActions": [action],
    }
