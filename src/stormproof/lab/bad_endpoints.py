"""Servers that fail on purpose, at the level of TCP and DNS: where requests go while a dependency is broken.

They run in the dependencies' process all the time and are reached only when Envoy is told to send requests there.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from stormproof.lab.topology import Address, listening_socket

_HEADER_BYTES = 12
_QUESTION_TAIL_BYTES = 4  # type and class
_NO_SUCH_NAME = 0x8183  # a response, recursion desired and available, rcode 3 (RFC 1035, 4.1.1)
# Closing a socket that lingers for no time sends RST instead of FIN (socket(7), SO_LINGER).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def serve_resets(address: Address) -> asyncio.Server:
    """Accept, wait for the first byte of a request, reset the connection."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()

    return await asyncio.start_server(reset, sock=listening_socket(address.host, address.port))


async def serve_no_names(address: Address) -> asyncio.Server:
    """A name server over TCP (RFC 1035, 4.2.2) that answers NXDOMAIN to every question."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                reply = no_such_name(await reader.readexactly(size))
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # the client has heard enough, or did not speak DNS
        finally:
            writer.close()

    return await asyncio.start_server(answer, sock=listening_socket(address.host, address.port))


def no_such_name(query: bytes) -> bytes:
    """The answer to *query* that says that there is no such name; `ValueError` for what is no query."""
    end = query.find(b"\0", _HEADER_BYTES) + 1 + _QUESTION_TAIL_BYTES
    if len(query) < end or end <= _HEADER_BYTES + _QUESTION_TAIL_BYTES:
        raise ValueError(f"expected a DNS query with one question, got {query[:64]!r}")
    # Same id, same question, no records.
    return query[:2] + struct.pack("!HHHHH", _NO_SUCH_NAME, 1, 0, 0, 0) + query[_HEADER_BYTES:end]
