from collections.abc import Iterable, Mapping, Sequence

from cloudflow_dagster.diagnostics.model import Diagnostic, Severity
from cloudflow_dagster.nodes.registry import NodeSource, Registry, broken
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import Kind, NodeType


def node_type(id: str, label: str = "Label") -> NodeType:
    return NodeType(
        id=id, kind=Kind.ACTION, category="other", label=label, description="Does.", icon="box"
    )


class Few:
    """A source that counts what it is asked."""

    def __init__(self, name: str, *types: NodeType) -> None:
        self.name = name
        self.asked: list[str] = []
        self._types = {each.id: each for each in types}

    def owns(self, id: str) -> bool:
        return id in self._types

    def get(self, id: str) -> NodeType | None:
        self.asked.append(id)
        return self._types.get(id)

    def ids(self) -> Iterable[str]:
        return list(self._types)


class Many(Few):
    """A source that suggests and searches by itself."""

    def suggest(self, id: str) -> str | None:
        return "big.one" if id.startswith("big.") else None

    def entries(self) -> Iterable[Entry]:
        return [Entry(id, "From entries", "") for id in self._types]


class Failing(Few):
    def get(self, id: str) -> NodeType | None:
        raise RuntimeError("no luck")

    def ids(self) -> Iterable[str]:
        raise RuntimeError("no luck")


def found(*sources: NodeSource) -> tuple[list[NodeSource], list[Diagnostic]]:
    return list(sources), []


def test_the_first_source_that_knows_an_id_wins_and_is_asked_once() -> None:
    first = Few("first", node_type("a.b", "First"))
    second = Few("second", node_type("a.b", "Second"), node_type("a.c"))
    registry = Registry(first, second)
    for _ in range(3):
        known = registry.get("a.b")
        assert known is not None
        assert known.label == "First"
    assert first.asked == ["a.b"]
    assert second.asked == []
    assert registry.get("a.c") is not None
    assert registry.get("a.d") is None
    assert list(registry.ids()) == ["a.b", "a.c"]
    assert [each.label for each in registry] == ["First", "Label"]


def test_other_packages_are_looked_for_only_when_needed_and_once() -> None:
    looks: list[int] = []

    def discover() -> tuple[list[NodeSource], list[Diagnostic]]:
        looks.append(1)
        return [Few("theirs", node_type("acme.do"), node_type("a.b", "Theirs"))], []

    registry = Registry(Few("ours", node_type("a.b", "Ours")), discover=discover)
    assert registry.get("a.b") is not None
    assert looks == []
    assert registry.get("acme.do") is not None
    assert registry.get("acme.dont") is None
    assert [each.label for each in registry.search("ours")] == ["Ours"]
    assert looks == [1]


def test_a_failing_source_of_another_package_is_a_warning() -> None:
    ours = Few("ours", node_type("a.b"))
    theirs = Few("theirs", node_type("acme.do"))
    registry = Registry(ours, discover=lambda: found(Failing("acme-broken"), theirs))
    assert registry.get("acme.do") is not None
    assert list(registry.ids()) == ["a.b", "acme.do"]
    assert registry.search("acme")
    [problem] = registry.problems
    assert problem.severity is Severity.WARNING
    assert problem.message == (
        "The node types of acme-broken cannot be used: RuntimeError: no luck"
    )
    assert problem.suggestion


def test_problems_of_the_discovery_are_kept() -> None:
    warning = broken("acme", ImportError("gone"))
    registry = Registry(discover=lambda: ([], [warning]))
    assert registry.problems == (warning,)


def test_a_large_source_suggests_by_itself_and_small_ones_are_compared() -> None:
    large = Many("large", node_type("big.one"))
    registry = Registry(Few("small", node_type("logic.switch")), large)
    assert registry.suggest("big.won") == "Did you mean `big.one`?"
    assert registry.suggest("logic.swich") == "Did you mean `logic.switch`?"
    assert registry.suggest("something.else") is None


def test_an_id_of_absurd_length_is_compared_with_nothing() -> None:
    registry = Registry(Many("large", node_type("big.one")))
    assert registry.suggest("big." + "x" * 1_000_000) is None


def test_a_search_can_keep_to_one_family() -> None:
    registry = Registry(Few("few", node_type("logic.two")), Many("large", node_type("big.two")))
    assert {each.id for each in registry.search("two")} == {"logic.two", "big.two"}
    assert [each.id for each in registry.search("two", family="big")] == ["big.two"]


def test_a_search_of_a_large_source_makes_no_node_type() -> None:
    large = Many("large", node_type("big.one"), node_type("big.two"))
    assert [each.id for each in Registry(large).search("two")] == ["big.two"]
    assert large.asked == []


def test_a_source_that_changes_is_looked_at_anew() -> None:
    assert Registry(Few("few", node_type("logic.two", "Old"))).search("old two")[0].label == "Old"
    assert Registry(Few("few", node_type("logic.two", "New"))).search("two")[0].label == "New"


class Speaking(Few):
    def edition(self) -> str:
        return "7"

    def synonyms(self) -> Mapping[str, Sequence[str]]:
        return {"hello": ["greet"]}

    def about(self, id: str) -> str:
        return "courtesy"


def test_a_source_says_what_people_call_its_things_and_is_not_asked_twice() -> None:
    one = node_type("acme.greet")
    assert [each.id for each in Registry(Speaking("s", one)).search("hello")] == ["acme.greet"]
    again = Speaking("s", one)
    assert [each.id for each in Registry(again).search("courtesy")] == ["acme.greet"]
    assert again.asked == []
