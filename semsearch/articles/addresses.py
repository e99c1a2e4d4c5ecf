"""Classify network addresses: public, of this machine, of its IPv6 network.

A redirect must not lead to a service that only this machine can reach. A public address may be this machine's own, as is usual
with IPv6: the system is asked by means of sockets, and nothing is sent.

Not recognised: neighbours with public IPv4 addresses, other IPv6 networks of the same site, the public IPv4 address of a router.

Not here: looking up names, and connections (`fetch`).
"""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network

__all__ = ["is_own", "is_public"]

_NOT_PUBLIC = tuple(
    IPv6Network(network)
    for network in (
        "::ffff:0:0:0/96",  # an address of IPv4, as its translators write it
        "::/96",  # one of IPv4 as well, as it was written before there were mapped ones
        "64:ff9b:1::/48",  # for the translators of a network of one's own
        "2001::/32",  # tunnels of Teredo
        "2002::/16",  # tunnels of 6to4
        "fec0::/10",  # of a site
    )
)
"""Networks that some versions of Python call public, and by which an address of this machine or its network can be written."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 writes the addresses of IPv4, public ones among them."""
_IPV6_PREFIX = 64
"""Prefix length of a network of IPv6 hosts, in bits (RFC 4291)."""
_DOCUMENTATION_ADDRESSES = (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
"""Addresses for documentation, which no machine has (RFC 5737, RFC 3849)."""
_ANY_PORT = 9


def is_public(address: str) -> bool:
    """Return True if an address, or the IPv4 address that it stands for, is public."""
    written = _parse(address)
    plain = _ipv4_of(written) or written
    if plain.version == 6 and any(plain in network for network in _NOT_PUBLIC):
        return False
    return plain.is_global and not plain.is_multicast


def is_own(address: str) -> bool:
    """Return True if an address, or the IPv4 address that it stands for, is of this machine or its IPv6 network.

    The network counts as the 64 bits that the address shares with the address of this machine from which it is reached.
    """
    written = _parse(address)
    forms = {_ipv4_of(written) or written}
    if written in _TRANSLATED:
        # Unlike a mapped address, a translated one may be assigned to an interface.
        forms.add(written)
    return any(_is_local(form) or _is_near(form) for form in forms)


def _parse(address: str) -> IPv4Address | IPv6Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _ipv4_of(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an address of IPv6 stands for; None if there is none."""
    if not isinstance(address, IPv6Address):
        return None
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else address.ipv4_mapped


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    """Return True if a socket can be bound to an address, which succeeds only for addresses of this machine.

    False where the system allows it for any address (``ip_nonlocal_bind`` of Linux): then only `_is_near` counts, which misses
    further IPv4 addresses of an interface in the same network.
    """
    return _binds(address) and not _binds(_DOCUMENTATION_ADDRESSES[address.version == 6])


def _binds(address: IPv4Address | IPv6Address) -> bool:
    try:
        # TCP, because the firewall of Windows asks the user about bound UDP sockets.
        with socket.socket(_family(address), socket.SOCK_STREAM) as bound:
            bound.bind((str(address), 0))
    except OSError:
        return False
    return True


def _is_near(address: IPv4Address | IPv6Address) -> bool:
    """Return True if an address is reached from itself, or from another address of its IPv6 network."""
    source = _source_to(address)
    if not isinstance(source, IPv6Address):
        return source == address
    return address in IPv6Network((source, _IPV6_PREFIX), strict=False)


def _source_to(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """Return the address of this machine from which another one is reached; None if it is out of reach."""
    try:
        # Connecting a socket of UDP chooses the route and sends nothing.
        with socket.socket(_family(address), socket.SOCK_DGRAM) as unsent:
            unsent.connect((str(address), _ANY_PORT))
            return _parse(unsent.getsockname()[0])
    except OSError:
        return None


def _family(address: IPv4Address | IPv6Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
