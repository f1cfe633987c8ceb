"""Find the circles of a directed graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_cycles(out_of: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return one circle for each knot of nodes that reach each other, or nothing.

    A circle is its ids in the order of the edges, starting at the one that comes first in the
    mapping. Without circles, which is nearly always, this costs one walk over the edges.
    """
    left = _without_ends(out_of)
    circles: list[tuple[str, ...]] = []
    while left:
        circle = _walk(next(iter(left)), left)
        circles.append(_from_first(circle, list(out_of)))
        knot = _knot(circle[0], left)
        left = _without_ends(
            {
                id: [next for next in nexts if next not in knot]
                for id, nexts in left.items()
                if id not in knot
            }
        )
    return tuple(circles)


def _without_ends(out_of: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Take away, again and again, what nothing leads to; what is left holds every circle.

    Then the same from the other side, so that every node left has an edge to go on.
    """
    forwards = _peel(out_of)
    backwards = _peel(_turned(forwards))
    return {id: [n for n in forwards[id] if n in backwards] for id in forwards if id in backwards}


def _peel(out_of: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    leading_in = dict.fromkeys(out_of, 0)
    for nexts in out_of.values():
        for id in nexts:
            leading_in[id] += 1
    free = [id for id, count in leading_in.items() if not count]
    gone: set[str] = set()
    while free:
        id = free.pop()
        gone.add(id)
        for following in out_of[id]:
            leading_in[following] -= 1
            if not leading_in[following]:
                free.append(following)
    return {id: [n for n in out_of[id] if n not in gone] for id in out_of if id not in gone}


def _turned(out_of: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {id: [] for id in out_of}
    for id, nexts in out_of.items():
        for following in nexts:
            turned[following].append(id)
    return turned


def _walk(start: str, out_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Follow first edges until a node comes again, and return the circle that this closes."""
    way: dict[str, int] = {}
    id = start
    while id not in way:
        way[id] = len(way)
        id = out_of[id][0]
    return list(way)[way[id] :]


def _knot(start: str, out_of: Mapping[str, Sequence[str]]) -> set[str]:
    """Return what a node reaches and what reaches it."""
    return _reached(start, out_of) & _reached(start, _turned(out_of))


def _reached(start: str, out_of: Mapping[str, Sequence[str]]) -> set[str]:
    waiting, reached = [start], {start}
    while waiting:
        for following in out_of[waiting.pop()]:
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    return reached


def _from_first(circle: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    places = {id: place for place, id in enumerate(order)}
    first = min(range(len(circle)), key=lambda i: places[circle[i]])
    return (*circle[first:], *circle[:first])
