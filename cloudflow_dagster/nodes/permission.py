"""What a credential must be allowed to do, so that a node can do its work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that must be allowed.

    Attributes:
        action: In the provider's own terms: `ec2:StopInstances`.
        dependent: The call makes use of something else that must be allowed too, such as handing
            over a role; it is not what was called.
        known: Whether the provider's own list has the action. If not, it is what the action is
            probably called, and people are told so.
        note: When it is needed, in a few words, if not always: "with `KmsKeyId`".
    """

    action: str
    dependent: bool = False
    known: bool = True
    note: str = ""

    def __str__(self) -> str:
        """Return it as people read it: `iam:PassRole (dependent, with RoleArn)`."""
        remarks = [
            *(["dependent"] if self.dependent else []),
            *([] if self.known else ["unknown: named as the operation"]),
            *([self.note] if self.note else []),
        ]
        return f"{self.action} ({', '.join(remarks)})" if remarks else self.action


def united(permissions: Iterable[Permission]) -> tuple[Permission, ...]:
    """Return each action once, sorted, those that something depends on last.

    What is needed in its own right is not dependent, and what is always needed has no note.
    """
    found: dict[str, Permission] = {}
    for each in permissions:
        other = found.get(each.action)
        if other is None:
            found[each.action] = each
            continue
        found[each.action] = Permission(
            each.action,
            dependent=each.dependent and other.dependent,
            known=each.known or other.known,
            note=each.note if each.note == other.note else "",
        )
    return tuple(sorted(found.values(), key=lambda p: (p.dependent, p.action)))
