"""`cloudflow permissions`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from cloudflow_dagster.cli.permissions_refresh import refresh_reference
from cloudflow_dagster.cli.surroundings import (
    COULD_NOT_WORK,
    flow_files,
    give_up,
    open_project,
    show,
    show_path,
)
from cloudflow_dagster.compiler.pipeline import compile_file
from cloudflow_dagster.compiler.siblings import Siblings
from cloudflow_dagster.insight.comparison import Comparison, compare
from cloudflow_dagster.insight.needs import Needs, needs_of
from cloudflow_dagster.insight.permissions import Entry, Policy, policies_of
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.permissions.definition import ABSENT, is_there
from cloudflow_dagster.providers.aws.permissions.policy import document, terraform
from cloudflow_dagster.providers.aws.permissions.reference import why_not

_MOST_NODES = 5
"""Nodes of one action that people are shown."""


@click.command("permissions")
@click.argument("flows", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "terraform"]),
    default="text",
    help="text for people; json and terraform: a policy for each credential.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Log in and ask IAM what each credential may really do; print what it lacks.",
)
@click.option(
    "--refresh",
    is_flag=True,
    help="Fetch AWS's Service Reference, so that policies are made with it from then on.",
)
def command(flows: tuple[str, ...], form: str, *, check: bool, refresh: bool) -> None:
    """Print the least IAM policy that flows need, for each credential.

    FLOWS are ids, files or folders; without any, all flows of the project. The flows that they
    call count too. Ends with 0, or with 2 if a flow has errors. With --check it ends with 1 if a
    credential lacks something, with 2 if IAM could not be asked. --refresh stands alone; it ends
    with 2 if not everything could be fetched.
    """
    if refresh:
        if flows or check:
            give_up("--refresh stands alone: it is about no flow. Leave the rest out.")
        refresh_reference()
        return
    project = open_project(COULD_NOT_WORK)
    if not is_there():
        give_up(ABSENT)
    if problem := why_not():
        click.echo(f"cloudflow: {problem}", err=True)
    needs = _needs(project, flow_files(project, flows))
    if check:
        _check(needs, project, form)
    policies = policies_of(needs, project)
    for sentence in _doubts(needs, policies):
        click.echo(f"cloudflow: {sentence}", err=True)
    if form == "json":
        written = {policy.credential: document(policy.statements) for policy in policies}
        click.echo(json.dumps(written, indent=2, ensure_ascii=False))
    elif form == "terraform":
        click.echo(terraform({p.credential: p.statements for p in policies}), nl=False)
    else:
        click.echo("\n\n".join(_shown(policy) for policy in policies) or "No permissions needed.")


def _check(needs: Needs, project: Project, form: str) -> NoReturn:
    if form == "terraform":
        give_up("--check prints a comparison; leave --format terraform out.")
    compared = compare(needs, project)
    for sentence in needs.unknown:
        click.echo(f"cloudflow: {sentence}", err=True)
    if form == "json":
        click.echo(json.dumps({c.credential: _comparison(c) for c in compared}, indent=2))
    else:
        click.echo("\n".join(line for each in compared for line in _compared(each)))
    if any(each.problem is not None for each in compared):
        sys.exit(COULD_NOT_WORK)
    sys.exit(1 if any(each.missing for each in compared) else 0)


def _comparison(compared: Comparison) -> dict[str, Any]:
    return {
        "who": compared.who,
        "allowed": [v.action for v in compared.verdicts if v.allowed],
        "missing": [asdict(v) for v in compared.missing],
        "unknown": compared.unknown,
        "problem": compared.problem,
        "way_out": compared.way_out,
    }


def _compared(compared: Comparison) -> list[str]:
    name = compared.credential
    if compared.problem is not None:
        return [f"{name}: not compared. {compared.problem} {compared.way_out or ''}".rstrip()]
    allowed = len(compared.verdicts) - len(compared.missing)
    lines = [f"{name}: {compared.who} may do {allowed} of {len(compared.verdicts)} things."]
    for verdict in compared.missing:
        why = "a policy forbids it" if verdict.decision == "explicitDeny" else "nothing allows it"
        lines.append(f"  lacks {verdict.action} on {verdict.resource}: {why}")
    lines += [
        f"  not asked about {action}: not in the list of IAM's actions"
        for action in compared.unknown
    ]
    return lines


def _needs(project: Project, files: list[Path]) -> Needs:
    siblings = Siblings(project.flows)
    needs = Needs()

    def called(id: str) -> Plan | None:
        sibling = siblings.get(id)
        if sibling is None:
            return None
        return compile_file(sibling.file, project=project, registry=catalogue()).plan

    seen: set[str] = set()
    for file in files:
        one = needs_of(_plan(file, project), project, catalogue(), called)
        needs.found += [need for need in one.found if need.node not in seen]
        seen |= {need.node for need in one.found}
        needs.unknown += [sentence for sentence in one.unknown if sentence not in needs.unknown]
    return needs


def _plan(file: Path, project: Project) -> Plan:
    compiled = compile_file(show_path(file), project=project, registry=catalogue())
    if compiled.plan is None:
        show(compiled.diagnostics, {compiled.file: compiled.document.text})
        sys.exit(COULD_NOT_WORK)
    return compiled.plan


def _doubts(needs: Needs, policies: Iterable[Policy]) -> list[str]:
    """Return sentences about what is not certain."""
    found = list(needs.unknown)
    unknown = sorted(
        {e.permission.action for p in policies for e in p.entries if not e.permission.known}
    )
    if unknown:
        listed = ", ".join(f"`{action}`" for action in unknown)
        found.append(
            f"The list of IAM's actions does not have {listed}: called as the operations are."
        )
    return found


def _shown(policy: Policy) -> str:
    where = f"account {policy.account}" if policy.account else "account not known without login"
    width = max(len(entry.permission.action) for entry in policy.entries)
    lines = [f"{policy.credential} ({where})"]
    for entry in policy.entries:
        lines += _lines(entry, width)
    return "\n".join(lines)


def _lines(entry: Entry, width: int) -> list[str]:
    nodes = ", ".join(entry.nodes[:_MOST_NODES])
    if len(entry.nodes) > _MOST_NODES:
        nodes += f" and {len(entry.nodes) - _MOST_NODES} more"
    remarks = str(entry.permission).removeprefix(entry.permission.action).strip()
    first = f"  {entry.permission.action.ljust(width)}  {nodes}  {remarks}".rstrip()
    return [first, *(f"      on {resource}" for resource in entry.resources)]
