"""Fetches a PDF from an address that a client has sent.

The client chooses the address and the agent makes the request, so the address must not lead into the agent's own network (SSRF).
The name is resolved once, all its addresses must be public, and the connection uses a checked address. Redirects are checked the
same way. `DOCUMENTS_ALLOW_PRIVATE_URLS=1` turns the checks off, for development.
"""

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from urllib.parse import urljoin, urlsplit

from extract import Unusable

MAX_BYTES = 50 * 1024 * 1024
MAX_REDIRECTS = 5
TOTAL_SECONDS = 60
SILENCE_SECONDS = 15
_ATTACH = "Check the address, or attach the file."
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Unreachable(Exception):
    """The network or the server failed, perhaps for a while. `after`: the delay that the server asks for, seconds."""

    def __init__(self, text, after=None):
        super().__init__(text)
        self.after = after


def fetch(url, check=lambda: None):
    """Fetches the bytes of `url`. `check` is called regularly and may raise to stop."""
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        check()
        try:
            found, content = _get(url, deadline, check)
        except ssl.SSLCertVerificationError as error:
            raise Unusable(f"The certificate of {_host(url)} is not valid. {_ATTACH}", repr(error)) from error
        except TimeoutError as error:
            raise Unreachable(f"{_host(url)} did not answer in time.") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{_host(url)} could not be reached: {error}") from error
        if content is not None:
            return content
        url = urljoin(url, found)
    raise Unusable(f"The address leads to more than {MAX_REDIRECTS} redirects. {_ATTACH}")


def _get(url, deadline, check):
    """Makes one request. Returns `(None, bytes)`, or `(location, None)` for a redirect."""
    scheme, host, port, target = _parts(url)
    connection = _connect(scheme, host, port, _resolve(host, port))
    # The timeout of the socket applies to each read: a slow trickle of bytes would never reach it.
    alarm = threading.Timer(max(0, deadline - time.monotonic()), _hang_up, [connection])
    alarm.start()
    try:
        connection.request("GET", target, headers={"Accept": "application/pdf", "User-Agent": "longhaul-documents"})
        response = connection.getresponse()
        location = response.getheader("Location")
        if response.status in (301, 302, 303, 307, 308) and location:
            return location, None
        _refuse_status(response, host)
        return None, _read(response, deadline, check)
    finally:
        alarm.cancel()
        connection.close()


def _hang_up(connection):
    with contextlib.suppress(OSError, AttributeError):  # closed meanwhile
        connection.sock.shutdown(socket.SHUT_RDWR)


def _parts(url):
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Unusable(f"The address is not valid. {_ATTACH}", f"{url!r}: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise Unusable("Only addresses that begin with http:// or https:// can be fetched. Attach the file otherwise.")
    if not host or parts.username is not None or not url.isascii() or any(char <= " " for char in url):
        raise Unusable(f"The address is not valid: it needs a host, no user name, and other characters encoded. {_ATTACH}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def _resolve(host, port):
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Unreachable(f"The name {host} could not be looked up.") from error
        raise Unusable(f"There is no host {host}. {_ATTACH}", repr(error)) from error
    except UnicodeError as error:
        raise Unusable(f"The address has no valid host. {_ATTACH}", repr(error)) from error
    addresses = [address[0] for _, _, _, _, address in found]
    if os.environ.get("DOCUMENTS_ALLOW_PRIVATE_URLS") != "1" and not all(map(is_public, addresses)):
        raise Unusable(f"The address leads into a private network, from which nothing is fetched. {_ATTACH}",
                       f"{host} is a private address" if addresses == [host] else f"{host} leads to {', '.join(addresses)}")
    return addresses


def is_public(text):
    """Returns true for addresses of the public internet. IPv4 addresses inside IPv6 ones are checked too."""
    address = ipaddress.ip_address(text.split("%")[0])
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _connect(scheme, host, port, addresses):
    """Connects to the first checked address that answers. The certificate must match the name."""
    for number, address in enumerate(addresses):
        try:
            plain = socket.create_connection((address, port), timeout=SILENCE_SECONDS)
            break
        except OSError:
            if number == len(addresses) - 1:
                raise
    connection = http.client.HTTPConnection(host, port, timeout=SILENCE_SECONDS)
    if scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=SILENCE_SECONDS)
        plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    connection.sock = plain
    return connection


def _refuse_status(response, host):
    if response.status == 200:
        return
    answered = f"{host} answered with status {response.status}"
    if response.status in (408, 425, 429) or response.status >= 500:
        after = response.getheader("Retry-After") or ""
        raise Unreachable(f"{answered}.", min(int(after), 3600) if after.isascii() and after.isdigit() else None)
    raise Unusable(f"{answered}. {_ATTACH}")


def _read(response, deadline, check):
    too_large = Unusable(f"The file is larger than {MAX_BYTES // 1024 // 1024} MiB. Split it, and send the pieces.")
    if (response.length or 0) > MAX_BYTES:
        raise too_large
    content = bytearray()
    while piece := response.read1(256 * 1024):
        check()
        content += piece
        if len(content) > MAX_BYTES:
            raise too_large
        if time.monotonic() > deadline:
            raise TimeoutError(f"not complete after {TOTAL_SECONDS} s")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)


def _host(url):
    return urlsplit(url).hostname or "the server"
