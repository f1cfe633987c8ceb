"""Networks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.ec2.named import (
    called,
    having,
    name_and_tags,
    only,
    set_tags,
)
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    UNORDERED_LIST,
    Tags,
    Text,
    tag_list,
)
from cloudflow_dagster.providers.aws.operations import Operations

_ALL = "0.0.0.0/0"


class Subnet(BaseModel):
    """A part of a network, in one zone."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: Annotated[str, Field(description="Its tag `Name`.")]
    cidr: Annotated[str, Field(description="Its addresses: `10.0.1.0/24`.")]
    zone: Annotated[str | None, Field(description="Where it is; AWS chooses, if not given.")] = None
    public: Annotated[bool, Field(description="Whether it reaches the internet.")] = False


@aws_resource(
    "aws.ec2.vpc",
    label="VPC",
    create=("ec2.CreateVpc",),
    read=(
        "ec2.DescribeVpcs",
        "ec2.DescribeVpcAttribute",
        "ec2.DescribeSubnets",
        "ec2.DescribeRouteTables",
    ),
    update={
        "ec2.ModifyVpcAttribute": ("dns_names",),
        "ec2.CreateSubnet": ("subnets",),
        "ec2.DeleteSubnet": ("subnets",),
        "ec2.DescribeInternetGateways": ("subnets",),
        "ec2.CreateInternetGateway": ("subnets",),
        "ec2.AttachInternetGateway": ("subnets",),
        "ec2.CreateRouteTable": ("subnets",),
        "ec2.CreateRoute": ("subnets",),
        "ec2.AssociateRouteTable": ("subnets",),
        "ec2.DisassociateRouteTable": ("subnets",),
        "ec2.CreateTags": ("tags", "subnets"),
        "ec2.DeleteTags": ("tags",),
    },
    delete=(
        "ec2.DeleteVpc",
        "ec2.DetachInternetGateway",
        "ec2.DeleteInternetGateway",
        "ec2.DeleteRouteTable",
    ),
    icon="network",
    category="networking",
)
class Vpc(AwsResource):
    """A network, with subnets and a gateway to the internet for those that are public."""

    noun = "VPC"
    has_identifier: ClassVar[bool] = True
    name: Annotated[Text, FIXED, Field(description="Its tag `Name`.")]
    cidr: Annotated[str, FIXED, Field(description="Its addresses.")] = "10.0.0.0/16"
    subnets: Annotated[
        list[Subnet] | None,
        Field(description="All its parts.", json_schema_extra=UNORDERED_LIST),
    ] = None
    dns_names: Annotated[bool, Field(description="Whether what is in it gets names.")] = True
    tags: Annotated[Tags | None, Field(description="All its tags but `Name`.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    subnet_ids: Annotated[
        dict[str, str] | None, GIVEN, Field(description="The ids of the subnets, by their names.")
    ] = None

    @override
    def create(self, aws: Operations) -> str:
        made = aws.ask(
            "ec2.CreateVpc", CidrBlock=self.cidr, TagSpecifications=called("vpc", self.name)
        )
        aws.wait("ec2.vpc_available", VpcIds=[made["Vpc"]["VpcId"]])
        return str(made["Vpc"]["VpcId"])

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        by = {"vpc_id" if identifier.startswith("vpc-") else "tag_Name": identifier}
        listed = aws.pages("ec2.DescribeVpcs", Filters=having(**by)).get("Vpcs", [])
        found = only(listed, cls.noun, identifier)
        if found is None:
            return None
        id = str(found["VpcId"])
        names = aws.ask("ec2.DescribeVpcAttribute", VpcId=id, Attribute="enableDnsHostnames")
        subnets, public = _subnets(aws, id), _public(aws, id)
        return id, {
            **name_and_tags(found),
            "cidr": found["CidrBlock"],
            "subnets": [
                {
                    "name": name_and_tags(each)["name"] or each["SubnetId"],
                    "cidr": each["CidrBlock"],
                    "zone": each["AvailabilityZone"],
                    "public": each["SubnetId"] in public,
                }
                for each in subnets
            ],
            "dns_names": names["EnableDnsHostnames"]["Value"],
            "id": id,
            "subnet_ids": {
                str(name_and_tags(each)["name"] or each["SubnetId"]): each["SubnetId"]
                for each in subnets
            },
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "dns_names" in changed:
            names: Json = {"Value": self.dns_names}
            aws.ask("ec2.ModifyVpcAttribute", VpcId=identifier, EnableDnsHostnames=names)
        if "subnets" in changed:
            self._set_subnets(aws, identifier)
        set_tags(aws, identifier, changed, self.tags)

    def _set_subnets(self, aws: Operations, vpc: str) -> None:
        there = {each["CidrBlock"]: each for each in _subnets(aws, vpc)}
        public = _public(aws, vpc)
        ids: dict[str, bool] = {}
        for subnet in self.subnets or ():
            found = there.pop(subnet.cidr, None)
            if found is None:
                found = aws.ask(
                    "ec2.CreateSubnet",
                    VpcId=vpc,
                    CidrBlock=subnet.cidr,
                    AvailabilityZone=subnet.zone,
                    TagSpecifications=called("subnet", subnet.name),
                )["Subnet"]
            elif name_and_tags(found)["name"] != subnet.name:
                tag = tag_list({"Name": subnet.name})
                aws.ask("ec2.CreateTags", Resources=[found["SubnetId"]], Tags=tag)
            ids[str(found["SubnetId"])] = subnet.public
        for each in there.values():
            aws.ask("ec2.DeleteSubnet", SubnetId=each["SubnetId"])
        if opened := [id for id, wanted in ids.items() if wanted and id not in public]:
            table = self._open_table(aws, vpc)
            for id in opened:
                aws.ask("ec2.AssociateRouteTable", RouteTableId=table, SubnetId=id)
        for id, wanted in ids.items():
            if not wanted and id in public:
                aws.ask("ec2.DisassociateRouteTable", AssociationId=public[id])

    def _open_table(self, aws: Operations, vpc: str) -> str:
        """Return the route table that leads to the internet, made of what is missing of it."""
        name = f"{self.name}-public"
        tables = aws.pages("ec2.DescribeRouteTables", Filters=having(vpc_id=vpc, tag_Name=name))
        found = only(tables.get("RouteTables", []), "route table", name)
        if found is None:
            made = called("route-table", name)
            found = aws.ask("ec2.CreateRouteTable", VpcId=vpc, TagSpecifications=made)["RouteTable"]
        table = str(found["RouteTableId"])
        if not _leads_out(found):
            gateway = self._gateway(aws, vpc)
            aws.ask(
                "ec2.CreateRoute",
                RouteTableId=table,
                DestinationCidrBlock=_ALL,
                GatewayId=gateway,
            )
        return table

    def _gateway(self, aws: Operations, vpc: str) -> str:
        """Return the gateway of the network; one that an interrupted run made is attached."""
        attached = _gateways(aws, attachment_vpc_id=vpc)
        if attached:
            return str(attached[0]["InternetGatewayId"])
        loose = [each for each in _gateways(aws, tag_Name=self.name) if not each["Attachments"]]
        found = loose[0] if loose else None
        if found is None:
            made = called("internet-gateway", self.name)
            answer = aws.ask("ec2.CreateInternetGateway", TagSpecifications=made)
            found = answer["InternetGateway"]
        gateway = str(found["InternetGatewayId"])
        aws.ask("ec2.AttachInternetGateway", InternetGatewayId=gateway, VpcId=vpc)
        return gateway

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        for gateway in _gateways(aws, attachment_vpc_id=identifier):
            id = gateway["InternetGatewayId"]
            aws.ask("ec2.DetachInternetGateway", InternetGatewayId=id, VpcId=identifier)
            aws.ask("ec2.DeleteInternetGateway", InternetGatewayId=id)
        for association in _public(aws, identifier).values():
            aws.ask("ec2.DisassociateRouteTable", AssociationId=association)
        for subnet in _subnets(aws, identifier):
            aws.ask("ec2.DeleteSubnet", SubnetId=subnet["SubnetId"])
        for table in _tables(aws, identifier):
            if not any(each.get("Main") for each in table.get("Associations", [])):
                aws.ask("ec2.DeleteRouteTable", RouteTableId=table["RouteTableId"])
        aws.ask("ec2.DeleteVpc", VpcId=identifier)


def _subnets(aws: Operations, vpc: str) -> list[dict[str, Any]]:
    return aws.pages("ec2.DescribeSubnets", Filters=having(vpc_id=vpc)).get("Subnets", [])


def _tables(aws: Operations, vpc: str) -> list[dict[str, Any]]:
    return aws.pages("ec2.DescribeRouteTables", Filters=having(vpc_id=vpc)).get("RouteTables", [])


def _gateways(aws: Operations, **filters: str) -> list[dict[str, Any]]:
    found = [{"Name": _filter(name), "Values": [value]} for name, value in filters.items()]
    answer = aws.pages("ec2.DescribeInternetGateways", Filters=[*found])
    return answer.get("InternetGateways", [])


def _filter(name: str) -> str:
    return {"attachment_vpc_id": "attachment.vpc-id", "tag_Name": "tag:Name"}[name]


def _leads_out(table: dict[str, Any]) -> bool:
    gateways = [str(route.get("GatewayId")) for route in table.get("Routes", [])]
    return any(gateway.startswith("igw-") for gateway in gateways)


def _public(aws: Operations, vpc: str) -> dict[str, str]:
    """Return the subnets that a gateway leads out of, with what associates them with its table."""
    found: dict[str, str] = {}
    for table in _tables(aws, vpc):
        if _leads_out(table):
            found |= {
                each["SubnetId"]: each["RouteTableAssociationId"]
                for each in table.get("Associations", [])
                if "SubnetId" in each
            }
    return found
