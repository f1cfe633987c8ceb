"""Which addresses HTTP nodes may reach.

Link-local and metadata addresses hand out the credentials of the machine to whoever asks, so they
are refused always; private ones where the project says so. What is checked is the address that a
name stands for, at the moment of connecting to it (see `transport.py`), not the name.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_FORBIDDEN: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: AWS, GCP, Azure and others
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.192/32",  # Oracle Cloud
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # GCP
    )
)
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""IPv6 addresses that stand for the IPv4 address in their last 32 bits (NAT64)."""


def refusal(text: str, *, private: bool) -> str | None:
    """Say why an address must not be reached, or None if it may.

    Args:
        text: An IP address, possibly with a zone (`fe80::1%eth0`).
        private: Whether private and loopback addresses are allowed.
    """
    address = _meant(ip_address(text.partition("%")[0]))
    if any(address.version == net.version and address in net for net in _FORBIDDEN):
        return "link-local and metadata addresses are never reached from a flow"
    if address.is_multicast or (address.is_reserved and not address.is_loopback):
        return "it is no address of a single machine"
    if not private and not address.is_global:
        return "this project does not allow private addresses"
    return None


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only wraps."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in net for net in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
