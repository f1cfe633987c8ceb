"""Rules that every curated node type of AWS keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typing_extensions import override

from cloudflow_dagster.nodes.declared import DeclaredNodes
from cloudflow_dagster.nodes.spec import Access, Carries, Kind, NodeType, Repeat
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.providers.aws.declare_resource import AwsResource, Found, aws_resource
from cloudflow_dagster.providers.aws.models import load_service, services
from cloudflow_dagster.providers.aws.naming import Naming
from cloudflow_dagster.providers.aws.operations import Operations
from cloudflow_dagster.providers.aws.palette import LOOKS
from cloudflow_dagster.providers.aws.permissions.actions import actions_of
from cloudflow_dagster.providers.aws.permissions.arns import resources_for
from cloudflow_dagster.providers.aws.permissions.place import Place
from cloudflow_dagster.providers.aws.tokens import OWN_TOKENS, tokens_of
from tests.fixtures.curated_flows import EXAMPLES, load, types_in

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = DeclaredNodes("cloudflow_dagster.providers.aws.curated", prefix="aws")
TYPES = {id: found for id in sorted(SOURCE.ids()) if (found := SOURCE.get(id))}
ACTIONS = {id: found for id, found in TYPES.items() if found.kind is Kind.ACTION}
RESOURCES = {id: found for id, found in TYPES.items() if found.kind is Kind.RESOURCE}
SHOWN = {id for name in EXAMPLES for id in types_in(load(name)["flow"])}
every = pytest.mark.parametrize("curated", TYPES.values(), ids=TYPES)


def row(curated: NodeType) -> str:
    """Return the line of the documentation's table."""
    first = curated.description.split("\n\n")[0].replace("\n", " ")
    if curated.resource is None:
        return f"| `{curated.id}` | {first} | {curated.repeat} |"
    fixed = ", ".join(f"`{path[0]}`" for path in curated.resource.create_only)
    return f"| `{curated.id}` | {first} | {fixed} |"


def test_every_id_that_is_listed_is_found_by_it() -> None:
    assert set(TYPES) == set(SOURCE.ids())
    assert all(id == curated.id for id, curated in TYPES.items())
    assert all(catalogue().get(id) is curated for id, curated in TYPES.items())


@pytest.mark.parametrize(
    ("page", "types"), [("aws-node-types.md", ACTIONS), ("resource-types.md", RESOURCES)]
)
def test_the_documentation_lists_them_all_and_no_others(
    page: str, types: dict[str, NodeType]
) -> None:
    text = (DOCS / page).read_text()
    table = [line for line in text.splitlines() if line.startswith("| `aws.")]
    wanted = [row(curated) for curated in types.values()]
    assert table == wanted, "The table should be:\n" + "\n".join(wanted)


@every
def test_its_id_is_no_operations(curated: NodeType) -> None:
    words = 2 if curated.kind is Kind.RESOURCE else 3
    assert re.fullmatch(rf"aws(\.[a-z0-9_]+){{{words}}}", curated.id)
    assert curated.id.split(".")[1] in services()
    assert AwsNodes().get(curated.id) is None
    assert curated.provider == "aws"


@every
def test_an_example_uses_it(curated: NodeType) -> None:
    assert curated.id in SHOWN


@every
def test_it_can_be_shown(curated: NodeType) -> None:
    first = curated.description.split("\n\n")[0].replace("\n", " ")
    assert first.endswith(".")
    assert len(first) <= 120
    assert curated.label
    assert len(curated.label) <= 24
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", curated.icon)
    assert curated.category in LOOKS
    assert curated.documentation
    assert curated.documentation.startswith("https://docs.aws.amazon.com/")


@every
def test_its_fields_are_few_and_described(curated: NodeType) -> None:
    schema = curated.config_schema
    Draft202012Validator.check_schema(schema)
    fields = schema.get("properties", {})
    assert len(fields) <= 13
    for name, field in fields.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert field.get("description"), name
        if "default" in field:
            Draft202012Validator(field).validate(field["default"])
            assert name not in schema.get("required", [])


@every
def test_what_it_gives_is_described(curated: NodeType) -> None:
    assert curated.output_schema is not None
    Draft202012Validator.check_schema(curated.output_schema)
    ports = [port.name for port in curated.outputs if port.carries is Carries.FIELD]
    assert ports == list(curated.output_schema["properties"])
    for name, field in curated.output_schema["properties"].items():
        assert field.get("description"), name


@pytest.mark.parametrize("curated", RESOURCES.values(), ids=RESOURCES)
def test_a_resource_can_be_planned_with(curated: NodeType) -> None:
    model = curated.resource
    assert model is not None
    fields = curated.config_schema["properties"].keys()
    marked = {path[0] for path in (*model.create_only, *model.write_only)}
    assert marked <= fields
    assert not {path[0] for path in model.read_only} & fields
    assert model.create_only, "Nothing tells it from others."
    assert model.loss is None or model.loss.endswith(".")
    assert curated.repeat is Repeat.SAFE


@every
def test_its_calls_are_operations_and_its_permissions_follow(curated: NodeType) -> None:
    assert curated.calls
    for name in curated.calls:
        service, _, operation = name.partition(".")
        assert operation in load_service(service).model["operations"]
        allowed = {permission.action for permission in curated.permissions_for()}
        assert set(actions_of(service, operation)) <= allowed


@pytest.mark.parametrize("service", sorted({id.split(".")[1] for id in TYPES}))
def test_what_fields_name_is_a_part_of_arns(service: str) -> None:
    text, arn = "Z1PART", "arn:aws:wafv2:eu-west-1:1:regional/webacl/z1part/2"
    found: dict[str, bool] = {}
    for curated in TYPES.values():
        if curated.id.split(".")[1] == service:
            assert isinstance(curated.names_of, Naming)
            needed = curated.permissions_for()
            for field, named in curated.names_of.fields.items():
                given = [curated.names_for({field: value}) for value in (text, arn)]
                arns = {
                    each
                    for permission in needed
                    for names in given
                    for each in resources_for(permission, names, Place(), needed)
                }
                known = any("z1part" in each.lower() for each in arns)
                found[named.what] = found.get(named.what, False) or known
    assert [what for what, known in found.items() if not known] == []


@pytest.mark.parametrize("made", RESOURCES.values(), ids=RESOURCES)
def test_what_is_made_can_be_given_as_it_is_where_its_kind_is_asked_for(made: NodeType) -> None:
    assert isinstance(made.names_of, Naming)
    output = dict.fromkeys(made.output_schema["properties"], "text")
    of_its_own = {"name", "domain"} & made.names_of.fields.keys()
    kinds = {made.names_of.fields[field].what for field in of_its_own}
    for taker in TYPES.values():
        assert isinstance(taker.names_of, Naming)
        for name, field in taker.names_of.fields.items():
            schema = taker.config_schema["properties"][name]
            if field.what in kinds and "object" in schema.get("type", ()):
                assert field.texts(output) == ["text"], (taker.id, name)


@every
def test_it_is_repeated_by_a_token_only_where_it_sends_one(curated: NodeType) -> None:
    if curated.repeat is Repeat.TOKEN:
        service, _, operation = curated.calls[0].partition(".")
        assert tokens_of(load_service(service), operation) or _own_token(service, operation)
    assert (curated.repeat is Repeat.LOOKUP) == (curated.look_up is not None)


def _own_token(service: str, operation: str) -> bool:
    """Whether a structure of the input has what stands for a token."""
    model = load_service(service)
    shapes = [model.shape(m["shape"]) for m in model.members(operation, "input").values()]
    return any(OWN_TOKENS & shape.get("members", {}).keys() for shape in shapes)


HARMFUL = re.compile(r"\.(terminate|empty|delete\w*)$")


@every
def test_what_takes_away_says_so(curated: NodeType) -> None:
    assert bool(HARMFUL.search(curated.id)) == (curated.destructive is not None)
    assert (curated.access is Access.READ) == (curated.repeat is Repeat.READ)


def test_a_type_that_declares_changes_can_make_them() -> None:
    class Rock(AwsResource):
        """A rock."""

        noun = "rock"
        name: str

        @override
        def create(self, aws: Operations) -> str:
            return self.name

        @classmethod
        @override
        def read(cls, aws: Operations, identifier: str) -> Found:
            return None

        @classmethod
        @override
        def delete(cls, aws: Operations, identifier: str) -> None: ...

    calls = ("sns.CreateTopic",)
    declare = aws_resource(
        "aws.sns.rock",
        label="Rock",
        create=calls,
        read=calls,
        delete=calls,
        update={"sns.TagResource": ("name",)},
    )
    with pytest.raises(TypeError, match="has `update` if"):
        declare(Rock)
