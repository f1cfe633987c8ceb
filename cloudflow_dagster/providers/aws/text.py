"""Plain words from the HTML and the CamelCase of an API's model."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape

_CODE = re.compile(r"</?(?:code|i|em|replaceable)\b[^>]*>", re.IGNORECASE)
_BREAK = re.compile(
    r"</?(?:p|li|ul|ol|dl|dt|dd|br|note|important|h\d|pre|title)\b[^>]*>", re.IGNORECASE
)
_NOTICE = re.compile(r"\s*<(note|important)\b[^>]*>.*?</\1>(?=.*?\w{4})", re.IGNORECASE | re.DOTALL)
"""A box before what is said, and something after it: where it is not supported, when it ends."""
_TAG = re.compile(r"<!--.*?-->|<[^>]*>|<!--.*", re.DOTALL)
_SPACE = re.compile(r"\s+")
_SENTENCE = re.compile(r"(?<![A-Z.])(?<!e\.g)(?<!i\.e)(?<!vs)[.!?](?=\s|$)")
_WORD = re.compile(r"V\d+(?![a-z])|[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+|\d+")
_SPELLED = """
ACL ACLs AMI API APIs ARN ARNs AWS AZ CA CIDR CIDRs CPU CSR DB DHCP DNS EBS EC2 ECS EFS EIP ENI FIFO
FPGA GPU HSM HTTP HTTPS IAM ID IDs IP IPs IPv4 IPv6 JSON KMS LDAP MFA NAT OIDC OTA QoS RAM RDS S3
SAML SDK SMB SMS SNS SQL SQS SSH SSL SSO TLS TTL URI URIs URL URLs VPC VPCs VPN WAF XML
"""
_ACRONYMS = {word.lower(): word for word in _SPELLED.split()}


def plain(html: str | None, limit: int = 300) -> str:
    """Return the first sentences of an API's HTML documentation as plain text.

    Args:
        html: As in the model; the tail beyond what can matter is never looked at.
        limit: Characters. What is longer ends after the last whole sentence that fits, or, if
            already the first does not, in an ellipsis.
    """
    if not html:
        return ""
    text = unescape(_TAG.sub("", _marked(_notices_last(html)[: limit * 4])))
    # Some models escape their tags and entities once more.
    text = _SPACE.sub(" ", unescape(_marked(text))).replace("``", "`").strip()
    if len(text) <= limit:
        return text
    ends = [match.end() for match in _SENTENCE.finditer(text, 0, limit)]
    if ends:
        return text[: ends[-1]]
    return text[:limit].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def _notices_last(html: str) -> str:
    notices = ""
    while notice := _NOTICE.match(html):
        notices += notice[0]
        html = html[notice.end() :]
    return f"{html} {notices}"


def _marked(html: str) -> str:
    return _BREAK.sub(" ", _CODE.sub("`", html))


@lru_cache(maxsize=4096)
def label(operation: str) -> str:
    """Return an operation's name in words: `CreateDBInstance` is "Create DB instance"."""
    words = [_cased(word) for word in _WORD.findall(operation)]
    if not words:
        return operation
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _cased(word: str) -> str:
    known = _ACRONYMS.get(word.lower())
    if known:
        return known
    return word if len(word) > 1 and word.rstrip("s").isupper() else word.lower()
