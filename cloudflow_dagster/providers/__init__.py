"""The node types, one package for each provider and family."""

from __future__ import annotations

from functools import cache

from cloudflow_dagster.diagnostics.model import Diagnostic
from cloudflow_dagster.nodes.declared import DeclaredNodes
from cloudflow_dagster.nodes.registry import NodeSource, Registry, broken

ENTRY_POINTS = "cloudflow.node_sources"
"""Group of the entry points by which other packages add node types.

The value names a `NodeSource`, or a function or class without arguments that gives one:

    [project.entry-points."cloudflow.node_sources"]
    acme = "acme_cloudflow:AcmeNodes"
"""

_METHODS = ("owns", "get", "ids")


@cache
def catalogue() -> Registry:
    """Return all node types: the built-in ones, then those of installed packages."""
    # Only who looks needs them.
    from cloudflow_dagster.providers.aws import AwsNodes, AwsResources  # noqa: PLC0415

    return Registry(
        DeclaredNodes(__name__, FAMILIES),
        DeclaredNodes(f"{__name__}.aws.curated", prefix="aws"),
        AwsNodes(),
        AwsResources(),
        discover=installed_sources,
    )


FAMILIES = ("flow", "generic", "logic", "trigger")
"""First words of the ids of the node types that are declared in this package."""


def installed_sources() -> tuple[list[NodeSource], list[Diagnostic]]:
    """Return the sources of other packages, and warnings about those that cannot be used."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - 20 ms

    sources: list[NodeSource] = []
    problems: list[Diagnostic] = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        package = point.dist.name if point.dist else "an installed package"
        name = f"{package} (entry point {point.name} = {point.value})"
        try:
            sources.append(_source(point.load()))
        except (Exception, SystemExit) as error:
            problems.append(broken(name, error))
    return sources, problems


def _source(value: object) -> NodeSource:
    """Return the source that an entry point names, or what its function or class gives."""
    found = value
    if isinstance(value, type) or (callable(value) and not _is_source(value)):
        found = value()
    if not _is_source(found):
        raise TypeError(f"{value!r} is no source of node types: it needs name, owns, get and ids")
    return found  # pyright: ignore[reportReturnType] - looked at above


def _is_source(value: object) -> bool:
    return hasattr(value, "name") and all(callable(getattr(value, m, None)) for m in _METHODS)
