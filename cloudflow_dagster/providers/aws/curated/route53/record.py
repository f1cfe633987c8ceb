"""Records of Route 53's zones."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Lines
from cloudflow_dagster.nodes.resource import IDENTIFIER
from cloudflow_dagster.nodes.resource_fields import FIXED
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    ANY_CHANGE,
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    UNORDERED_LIST,
    Text,
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Zone = Annotated[str, one("id", "Id"), ONE, Names("HostedZoneId")]
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


_OCTAL = re.compile(r"\\([0-3][0-7]{2})")


def _plain(name: str) -> str:
    """Return a name as people write it; Route 53 adds a dot and spells some characters by number.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html
    """
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), name.rstrip(".")).lower()


def _lower(given: Any) -> Any:
    return _plain(given) if isinstance(given, str) else given


class Alias(BaseModel):
    """What has its own name in the DNS and changes its addresses: a load balancer, a distribution.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        # Another node's whole output may be given.
        json_schema_extra={"additionalProperties": True},
    )
    host: Annotated[Text, BeforeValidator(_lower), Field(description="Its name.")]
    zone_id: Annotated[Text, Field(description="Id of the zone that its name is in.")]
    check_health: Annotated[
        bool,
        Field(description="Whether it only counts while it is healthy; not for distributions."),
    ] = False


def _target(given: Any) -> Any:
    """Take what another node gives for the two fields that count."""
    if isinstance(given, Mapping) and IDENTIFIER in given:
        fields = cast("Mapping[str, Any]", given)
        return {name: fields[name] for name in Alias.model_fields if name in fields}
    return cast("Any", given)


_TTL = 300


@aws_resource(
    "aws.route53.record",
    label="Record",
    create=("route53.ChangeResourceRecordSets", "route53.GetChange"),
    read=("route53.ListResourceRecordSets",),
    create_if_repeated=("route53.ListHostedZonesByName",),
    update={"route53.ChangeResourceRecordSets": ANY_CHANGE},
    delete=("route53.ChangeResourceRecordSets",),
)
class ZoneRecord(AwsResource):
    """A record of a zone of Route 53: values, or an alias of what AWS serves."""

    noun = "record"
    zone: Annotated[Zone, FIXED, Field(description="Id (`Z…`) or name of the zone.")]
    name: Annotated[Text, FIXED, Field(description="Its full name: `www.shop.example`.")]
    type: Annotated[Kind, FIXED, Field(description="Its kind.")] = "A"
    values: Annotated[
        Lines | None,
        Field(description="Addresses, names or texts.", json_schema_extra=UNORDERED_LIST),
    ] = None
    ttl: Annotated[
        int | None,
        Field(
            ge=0, description=f"Seconds for which others remember `values`; if not given, {_TTL}."
        ),
    ] = None
    alias: Annotated[
        Alias | None,
        BeforeValidator(_target),
        Field(
            description="Instead of `values`: a load balancer, a distribution, or whatever else "
            "has `host` and `zone_id`."
        ),
    ] = None

    @classmethod
    @override
    def clash(cls, given: Collection[str]) -> str | None:
        if "alias" in given and "ttl" in given:
            return "an `alias` is remembered as long as what it stands for: leave out `ttl`"
        if ("alias" in given) is ("values" in given):
            return "give either `values` or `alias`"
        return None

    @model_validator(mode="after")
    def _is_remembered(self) -> Self:
        if self.ttl is None and self.alias is None:
            self.ttl = _TTL
        return self

    @override
    def identify(self) -> str:
        return f"{self.zone}|{self.type}|{self.name}"

    @override
    def create(self, aws: Operations) -> str:
        self._put(aws)
        return self.identify()

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        zone, kind, name = identifier.split("|")
        found = _record(aws, identifier)
        if found is None:
            return None
        known: dict[str, Json] = {"zone": zone, "name": name, "type": kind}
        if (target := found.get("AliasTarget")) is not None:
            alias: Json = {
                "host": _plain(target["DNSName"]),
                "zone_id": target["HostedZoneId"],
                "check_health": target["EvaluateTargetHealth"],
            }
            return identifier, {**known, "alias": alias}
        values = [each["Value"] for each in found.get("ResourceRecords", [])]
        return identifier, {
            **known,
            "values": [each.strip('"') for each in values] if kind == "TXT" else values,
            "ttl": found.get("TTL"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        self._put(aws)

    def _put(self, aws: Operations) -> None:
        record: dict[str, Json] = {"Name": self.name, "Type": self.type}
        if self.alias is not None:
            record["AliasTarget"] = {
                "DNSName": self.alias.host,
                "HostedZoneId": self.alias.zone_id,
                "EvaluateTargetHealth": self.alias.check_health,
            }
        else:
            values = [_quoted(v) if self.type == "TXT" else v for v in self.values or ()]
            record["TTL"] = self.ttl
            record["ResourceRecords"] = [{"Value": each} for each in values]
        _change(aws, self.zone, "UPSERT", record)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        _change(aws, identifier.split("|", maxsplit=1)[0], "DELETE", _record(aws, identifier))


def _record(aws: Operations, identifier: str) -> dict[str, Any] | None:
    zone, kind, name = identifier.split("|")
    answer = aws.ask(
        "route53.ListResourceRecordSets",
        HostedZoneId=_id(aws, zone),
        StartRecordName=name,
        StartRecordType=kind,
        MaxItems="1",
    )
    listed = answer.get("ResourceRecordSets", [])
    wanted = (_plain(name), kind)
    return next((each for each in listed if (_plain(each["Name"]), each["Type"]) == wanted), None)


def _change(aws: Operations, zone: str, action: str, record: Json) -> None:
    """Change a record and wait until all name servers know it."""
    changes: Json = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    answer = aws.ask(
        "route53.ChangeResourceRecordSets", HostedZoneId=_id(aws, zone), ChangeBatch=changes
    )
    id = str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]
    aws.wait("route53.resource_record_sets_changed", Id=id)
