"""Find out which loops are around each node.

The body of a loop is all that can be reached from its `item` port. So every edge into a node must
come from the same bodies. Where that does not hold, the edge that trespasses is named, and left
aside from there on, so that one wrong edge is one finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudflow_dagster.compiler.graph import DEEPEST, Graph, Link, Trespass

_Around = tuple[str, ...]


def find_loops(graph: Graph) -> tuple[dict[str, _Around], tuple[Trespass, ...]]:
    """Return the loops around each node, the outermost first, and the edges that trespass.

    A graph that goes round in circles has no bodies to speak of; then no node has loops.
    """
    around: dict[str, _Around] = dict.fromkeys(graph.vertices, ())
    trespasses: list[Trespass] = []
    for id in graph.order:
        links = graph.into[id]
        if links:
            coming = [(link, _inside(link, around)) for link in links]
            around[id] = home = _home(coming)
            trespasses += [_trespass(e, inside, home) for e, inside in coming if inside != home]
    return around, tuple(trespasses)


def _inside(link: Link, around: dict[str, _Around]) -> _Around:
    """Return the loops that what this edge leads to is in."""
    if link.source is None:
        return ()
    loops = around[link.source.id]
    if link.enters_loop and len(loops) <= DEEPEST:
        return (*loops, link.source.id)
    return loops


def _home(coming: Sequence[tuple[Link, _Around]]) -> _Around:
    """Return the loops around a node, given the edges into it.

    If they do not agree, an edge straight from `item` tells what is meant; without one the node is
    taken to be in the loops that all edges agree on.
    """
    first = coming[0][1]
    if all(inside == first for _, inside in coming):
        return first
    for link, inside in coming:
        if link.enters_loop:
            return inside
    shared = 0
    while all(inside[shared : shared + 1] == first[shared : shared + 1] for _, inside in coming):
        shared += 1
    return first[:shared]


def _trespass(link: Link, inside: _Around, home: _Around) -> Trespass:
    shared = sum(1 for _ in _common(inside, home))
    if len(home) > shared:
        return Trespass(link, home[-1], leaves=False)
    return Trespass(link, inside[shared], leaves=True)


def _common(one: _Around, other: _Around) -> Sequence[str]:
    place = 0
    while place < min(len(one), len(other)) and one[place] == other[place]:
        place += 1
    return one[:place]
