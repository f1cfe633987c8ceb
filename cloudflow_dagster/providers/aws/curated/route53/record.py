"""Records of Route 53's zones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Lines, Text, one
from cloudflow_dagster.providers.aws.operations import Operations

Zone = Annotated[str, one("id", "Id"), ONE]
Kind = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"]


class Change(TypedDict):
    """What a name stands for now."""

    zone: Annotated[str, Field(description="Id of the zone.")]
    name: Annotated[str, Field(description="The name.")]
    values: Annotated[list[str], Field(description="What it stands for.")]
    status: Annotated[str, Field(description="`PENDING`, or `INSYNC` when all servers know it.")]


@aws_action(
    "aws.route53.record.upsert",
    label="Set record",
    calls=(
        "route53.ChangeResourceRecordSets",
        "route53.GetChange",
        "route53.ListHostedZonesByName",
    ),
    repeat=Repeat.SAFE,
)
def upsert(
    aws: Operations,
    *,
    zone: Zone,
    name: Text,
    values: Lines,
    type: Kind = "A",
    ttl: Annotated[int, Field(ge=0, le=2_147_483_647)] = 300,
    wait: bool = True,
) -> Change:
    """Makes a record of a zone, or changes it, and waits until all name servers know it.

    Args:
        aws: Carries out operations.
        zone: Id (`Z…`) or name (`example.com`) of the zone.
        name: Full name of the record: `www.example.com`.
        values: Addresses, names or texts. A text is put in quotes if it is not.
        type: Kind of the record.
        ttl: Seconds for which others remember it.
        wait: Whether to wait until all name servers know it.
    """
    id = _id(aws, zone)
    records: list[Json] = [{"Value": _quoted(each) if type == "TXT" else each} for each in values]
    record: dict[str, Json] = {"Name": name, "Type": type, "TTL": ttl, "ResourceRecords": records}
    answer = aws.ask(
        "route53.ChangeResourceRecordSets",
        HostedZoneId=id,
        ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
    )
    change = answer["ChangeInfo"]
    if wait:
        change_id = change["Id"].rpartition("/")[2]
        aws.wait("route53.resource_record_sets_changed", Id=change_id)
        change = aws.ask("route53.GetChange", Id=change_id)["ChangeInfo"]
    return {"zone": id, "name": name, "values": values, "status": change["Status"]}


def _quoted(text: str) -> str:
    return text if text.startswith('"') else f'"{text}"'


def _id(aws: Operations, zone: str) -> str:
    """Return a zone's id, given that or its name."""
    if "." not in zone:
        return zone.rpartition("/")[2]
    wanted = f"{zone.rstrip('.')}."
    found = aws.ask("route53.ListHostedZonesByName", DNSName=wanted)["HostedZones"]
    zones = [each["Id"].rpartition("/")[2] for each in found if each["Name"] == wanted]
    if len(zones) == 1:
        return zones[0]
    what = "There is no zone" if not zones else f"There are {len(zones)} zones"
    raise NodeError(
        "NoSuchHostedZone", f"{what} `{zone}`; give the id of the one meant.", transient=False
    )
