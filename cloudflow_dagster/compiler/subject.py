"""What the checks look at, and where they put what they find."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cloudflow_dagster.compiler.config_fit import ConfigProblem, find_config_problems
from cloudflow_dagster.compiler.graph import Graph
from cloudflow_dagster.compiler.knowledge import Knowledge
from cloudflow_dagster.compiler.siblings import Siblings
from cloudflow_dagster.compiler.texts import Text, find_texts
from cloudflow_dagster.diagnostics.model import Diagnostics, did_you_mean
from cloudflow_dagster.expressions.references import Read
from cloudflow_dagster.expressions.template import Expression
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.project import Project

_COMPARISONS: Final = 100_000
"""So many names of a flow are compared with others, which takes a second or two."""


@dataclass
class Subject:
    """One flow under examination.

    Attributes:
        graph: The flow, resolved.
        registry: The catalogue it was resolved against.
        project: The project it belongs to; None if it stands alone.
        siblings: The other flows of the project; None if it stands alone.
        found: Where findings go.
    """

    graph: Graph
    registry: Registry
    project: Project | None = None
    siblings: Siblings | None = None
    found: Diagnostics = field(default_factory=Diagnostics)
    _compared: int = field(default=0, init=False, repr=False)

    @cached_property
    def texts(self) -> list[Text]:
        """Every string with expressions in it."""
        return find_texts(self.graph)

    @cached_property
    def reads(self) -> list[tuple[Text, Expression, Read]]:
        """Every name that an expression reads.

        Left out are those that find nothing where they stand, and whole scopes (`$$`), which name
        nothing in particular.
        """
        return [
            (text, expression, read)
            for text in self.texts
            for expression in text.expressions
            for read in expression.reads
            if not read.shadowed and not reads_scope(expression, read)
        ]

    @cached_property
    def knowledge(self) -> Knowledge:
        """What is known of the flow's values."""
        return Knowledge(self.graph, self.project.variables if self.project else None)

    @cached_property
    def config_problems(self) -> list[ConfigProblem]:
        """Where configs do not fit their node types."""
        return list(find_config_problems(self.graph, self.texts, self.knowledge))

    def did_you_mean(self, given: str, known: Collection[str]) -> str | None:
        """Return a suggestion for a wrong name, or None if none is close.

        A flow of thousands of nodes with as many wrong names gets them for the first of these.
        """
        self._compared += len(known)
        return did_you_mean(given, known) if self._compared <= _COMPARISONS else None

    def reads_of(self, *roots: str) -> Iterator[tuple[Text, Expression, Read]]:
        """Yield what expressions read under these names."""
        return (found for found in self.reads if found[2].root in roots)


def reads_scope(expression: Expression, read: Read) -> bool:
    """Return whether a read is part of reading everything that there is: all names in one place."""
    return not read.path and any(
        other.offset == read.offset and other.root != read.root for other in expression.reads
    )


Check = Callable[[Subject], None]
"""Looks for one thing that can be wrong, and records what it finds."""
