"""What credentials may really do, beside what flows need."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.insight.needs import Needs
from cloudflow_dagster.insight.permissions import Policy, policies_of
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers.aws.permissions.simulation import Verdict, simulate


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one credential may do of what it needs: `verdicts`, or `problem` and `way_out`.

    Attributes:
        credential: Its name.
        who: The ARN of its identity, if it could log in.
        verdicts: What IAM says of each action.
        unknown: Actions that were not asked about, because IAM's list does not have them.
        problem: Why IAM could not be asked.
        way_out: What to do about that.
    """

    credential: str
    who: str | None = None
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    unknown: list[str] = field(default_factory=list[str])
    problem: str | None = None
    way_out: str | None = None

    @property
    def missing(self) -> list[Verdict]:
        """What is needed and not allowed."""
        return [verdict for verdict in self.verdicts if not verdict.allowed]


def compare(needs: Needs, project: Project) -> list[Comparison]:
    """Ask IAM about each AWS credential what it may do of what flows need."""
    return [_compared(policy, needs, project) for policy in policies_of(needs, project)]


def _compared(policy: Policy, needs: Needs, project: Project) -> Comparison:
    name = policy.credential
    if project.credentials.simulated(name):
        return Comparison(
            name,
            problem="It is the simulated cloud, which allows everything and has no policies.",
            way_out="Compare with a credential of a real account.",
        )
    who: str | None = None
    try:
        login = project.credentials.login(name, "aws")
        assert isinstance(login, AwsLogin)  # noqa: S101 - of this provider
        identity = login.identity()
        who = identity.who
        accounts = {name: identity.account} if identity.account else {}
        policy = next(p for p in policies_of(needs, project, accounts) if p.credential == name)
        verdicts = simulate(login, who, policy.statements)
    except CredentialError as error:
        return Comparison(name, who, problem=error.problem, way_out=error.way_out)
    unknown = [e.permission.action for e in policy.entries if not e.permission.known]
    return Comparison(name, who, verdicts, unknown)
