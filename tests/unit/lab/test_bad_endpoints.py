"""The lab's servers that fail on purpose fail for the real reason, in the eyes of clients that are not ours."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stormproof.lab.bad_endpoints import no_such_name, serve_no_names, serve_resets
from stormproof.lab.tls import AUTHORITY_FILE, HOST_NAME, write_certificates
from stormproof.lab.topology import CERTIFICATES, Address, Reservations

QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x04cart\x03lab\x04test\x00" + b"\x00\x01\x00\x01"


@pytest.fixture
def address() -> Iterator[Address]:
    reservations = Reservations()
    yield reservations.take("127.0.0.1")
    reservations.close()


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """A server that shakes hands once; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            connection, _ = listening.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.sendall(b"hello")
            except (ssl.SSLError, ConnectionError):
                pass  # the client did not like us, which is what is tested
            finally:
                connection.close()

        thread = threading.Thread(target=shake, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=5)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("expired", "certificate has expired"),
        ("wrong-host", "Hostname mismatch"),
        ("self-signed", "self[- ]signed certificate"),
    ],
)
def test_a_handshake_fails_for_the_one_reason(tmp_path: Path, certificate: str, reason: str) -> None:
    """OpenSSL refuses each certificate, and names what is wrong with it."""
    contexts = write_certificates(tmp_path)
    client = ssl.create_default_context(cafile=str(tmp_path / AUTHORITY_FILE))

    with (
        tls_server(contexts[certificate]) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        pytest.raises(ssl.SSLCertVerificationError, match=reason),
    ):
        client.wrap_socket(connection, server_hostname=HOST_NAME)


def test_a_valid_certificate_is_accepted(tmp_path: Path) -> None:
    """The control: the same client, authority and host name with the right certificate."""
    contexts = write_certificates(tmp_path)
    client = ssl.create_default_context(cafile=str(tmp_path / AUTHORITY_FILE))
    assert set(contexts) == set(CERTIFICATES)

    with (
        tls_server(contexts["valid"]) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        client.wrap_socket(connection, server_hostname=HOST_NAME) as secure,
    ):
        assert secure.recv(5) == b"hello"


def test_a_private_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """Even one that is thrown away."""
    write_certificates(tmp_path)

    assert {(tmp_path / f"{name}.pem").stat().st_mode & 0o077 for name in CERTIFICATES} == {0}


def test_a_connection_is_reset_not_closed(address: Address) -> None:
    """Once the request has begun: RST, where a close would be an empty read."""

    async def test() -> None:
        async with await serve_resets(address):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"GET / HTTP/1.1\r\n")
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(1), timeout=5)
            writer.close()

    asyncio.run(test())


def test_the_name_server_knows_no_name(address: Address) -> None:
    """Over TCP, several questions on one connection: the same id, NXDOMAIN, the question repeated, no records."""

    async def test() -> None:
        async with await serve_no_names(address):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            for _ in range(2):
                writer.write(struct.pack("!H", len(QUERY)) + QUERY)
                (size,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), timeout=5))
                reply = await reader.readexactly(size)
                (flags, questions, *records) = struct.unpack("!HHHHH", reply[2:12])
                assert reply[:2] == QUERY[:2]
                assert (flags & 0x8000, flags & 0xF) == (0x8000, 3)
                assert (questions, records) == (1, [0, 0, 0])
                assert reply[12:] == QUERY[12:]
            writer.close()

    asyncio.run(test())


@pytest.mark.parametrize("query", [b"", b"\x12\x34", QUERY[:-1], QUERY[:12]])
def test_what_is_no_query_is_an_error(query: bytes) -> None:
    """A torn question is not answered."""
    with pytest.raises(ValueError, match="DNS query"):
        no_such_name(query)
