"""Diagnostics in SARIF 2.1.0, which code hosts show beside the lines of a pull request.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from cloudflow_dagster.diagnostics.model import Diagnostic, Rule

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(diagnostics: Iterable[Diagnostic], rules: Iterable[Rule]) -> str:
    """Return diagnostics as one SARIF log.

    Args:
        diagnostics: The results.
        rules: All rules there are, found or not; each is described in the log.
    """
    described = list(rules)
    known = {rule.code: place for place, rule in enumerate(described)}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "CloudFlow", "rules": [_rule(r) for r in described]}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(d, known) for d in diagnostics],
            }
        ],
    }
    return json.dumps(log, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": f"{rule.title}."},
        "help": {"text": rule.explanation, "markdown": rule.explanation},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(diagnostic: Diagnostic, known: dict[str, int]) -> dict[str, Any]:
    at = diagnostic.at
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(at.file)}}
    if diagnostic.line is not None:
        physical["region"] = {"startLine": diagnostic.line, "startColumn": diagnostic.column or 1}
    location: dict[str, Any] = {"physicalLocation": physical}
    if at.pointer.parts:
        location["logicalLocations"] = [{"fullyQualifiedName": str(at.pointer)}]
    sentences = [diagnostic.message, diagnostic.suggestion]
    same = "\n".join([diagnostic.code, at.file, str(at.pointer), diagnostic.message])
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "level": diagnostic.severity.value,
        "message": {"text": " ".join(sentence for sentence in sentences if sentence)},
        "locations": [location],
        # The line is not part of it: a finding that only moved is the same finding.
        "partialFingerprints": {"cloudflow/v1": sha256(same.encode(errors="replace")).hexdigest()},
    }
    if diagnostic.code in known:
        result["ruleIndex"] = known[diagnostic.code]
    return result


def _uri(file: str) -> str:
    path = PurePath(file)
    uri = quote(path.as_posix().encode(errors="surrogateescape"))
    if path.is_absolute():
        return f"file://{uri}" if uri.startswith("/") else f"file:///{uri}"
    return uri
