"""Writes `docs/project-file.md` from the models that read the file.

`python -m cloudflow_dagster.project.reference > docs/project-file.md`
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cloudflow_dagster.credentials.spec import PROVIDERS, SECRET_SOURCES, Reference
from cloudflow_dagster.project.check import SECTIONS
from cloudflow_dagster.project.settings import FlowRetention, Retention, Settings

_HEAD = """\
# The project file

`cloudflow.yaml` stands beside `workspace.yaml` and `flows/`, and holds what is the project's own. A
flow belongs to the nearest folder above it that has one. Reading it executes nothing, and asks
nobody: references are followed when a flow runs.

```yaml
credentials:
  prod:
    provider: aws
    profile: prod
    region: eu-central-1
  audit:
    provider: aws
    source: prod
    role_arn: arn:aws:iam::222222222222:role/audit
    external_id: {env: AUDIT_EXTERNAL_ID}
default_credentials:
  aws: prod
secrets:
  slack_webhook: {env: SLACK_WEBHOOK}
  api_key: {aws_secret: prod/shop, json_key: api_key, credential: prod}
variables:
  alerts_topic: arn:aws:sns:eu-central-1:111111111111:alerts
settings:
  code_nodes: false
```

**Without a `cloudflow.yaml`** a folder is a project with one credential, `sim`: the simulated AWS
account. Nothing real is touched before somebody names it in this file.

**The YAML** is plain: mappings, lists, text, numbers, `true`, `false`, `null`. `yes`, `no`, `on`
and `off` are text (a setting takes them as true and false), and so are digits that begin with 0,
such as an account's number. Aliases (`*name`) work; tags (`!!…`), merge keys (`<<`) and a second
document do not. Unknown fields and keys given twice are errors. At most 256 kB.

**Secrets never stand in it.** A field that is a *reference* takes only where the value lies; a
value written there is an error (`CF6106`), as is anything anywhere in the file that looks like an
access key, a token, a private key or a password in an address.
"""

_RETENTION = """\
```yaml
settings:
  retention:
    keep_days: 30
    flows:
      heartbeat: {keep_days: 2, keep_runs: 100}
      audit: {keep_days: null, keep_runs: null}
```

A run goes when either rule says so. What is never deleted, and when it is done: [the history of
runs](runs.md#what-is-kept).
"""

_TESTING = """\
## What happens when

`cloudflow credentials list` shows the names, providers and ways to log in, never a value.
`cloudflow credentials test NAME` logs in and says who one is, or what is wrong and what to do.

Logins are made once for a process and renewed before they end. Secrets are fetched when a flow
first reads them, once for a run. Every value that passes (keys, session tokens, secrets) is taken
out of logs, events and stored outputs.

A simulated credential opens the simulated cloud that `cloudflow dev` started, or the one whose
address is in `CLOUDFLOW_SIMULATED_AWS`; `cloudflow run` starts one if there is none. It works with
fixed keys and looks at none of the machine's AWS settings.

A profile that asks for a one-time code (`mfa_serial`) asks on the terminal; for schedules use one
that does not, such as SSO or a role of the machine.

GCP and Azure need their extras: `pip install 'cloudflow-dagster[gcp]'`, or `[azure]`.
"""


def project_file_reference() -> str:
    """Return the reference documentation of `cloudflow.yaml` as Markdown."""
    parts = [_HEAD, "## Sections\n", _table(("section", "meaning"), SECTIONS.items())]
    parts += [
        "## References\n",
        "Where a value lies, for the fields below that take a reference.\n",
        _fields(Reference),
    ]
    parts.append("## Credentials\n")
    parts.append(
        "Each has a name of the form `[a-z][a-z0-9_]*` and a `provider`; what else it takes "
        "depends on that. Flows name it in a node's `credential`.\n"
    )
    for provider, model in PROVIDERS.items():
        parts += [f"### `provider: {provider}`\n", _described(model), _fields(model)]
    parts += [
        "## Secrets\n",
        "Each has a name, and says where its value lies by one of the following. Flows read it "
        "with `$secret('name')`.\n",
    ]
    for source, model in SECRET_SOURCES.items():
        parts += [f"### `{source}`\n", _described(model), _fields(model)]
    parts += ["## Settings\n", _fields(Settings)]
    parts += ["### `retention`\n", _described(Retention), _fields(Retention), _RETENTION]
    parts += ["Each entry of `flows`:\n", _fields(FlowRetention), _TESTING]
    return "\n".join(parts)


def _described(model: type[BaseModel]) -> str:
    lines = [line.strip() for line in (model.__doc__ or "").strip().splitlines()]
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel]) -> str:
    rows: list[tuple[str, str, str, str]] = []
    for name, field in model.model_fields.items():
        default: Any = field.default
        shown = "" if default in {None, PydanticUndefined} else f"`{str(default).lower()}`"
        rows.append((f"`{name}`", _kind(field.annotation), shown, field.description or "always so"))
    return _table(("field", "value", "default", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        first, *rest = row
        cell = first if first.startswith("`") else f"`{first}`"
        lines.append(f"| {' | '.join((cell, *(' '.join(r.split()) for r in rest)))} |")
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"`{get_args(annotation)[0]}`"
    parts = set(_parts(annotation))
    if any(part is Retention or part is FlowRetention for part in parts):
        return "mapping"
    if Reference in parts:
        return "text or reference" if str in parts else "reference"
    if bool in parts:
        return "true or false"
    return "number" if parts & {int, float} else "text"


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


if __name__ == "__main__":
    sys.stdout.write(project_file_reference())
