"""Certificates for the lab's TLS endpoints: one that is right, and three that are wrong in one way each.

All are real X.509 certificates of an authority that is made with the lab and thrown away with it; whoever verifies
them needs no help to find them wrong.
"""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.record.atomic import write_bytes

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

HOST_NAME = "dependency.lab.test"
OTHER_HOST_NAME = "somebody-else.lab.test"
AUTHORITY_FILE = "authority.pem"
_DAY = dt.timedelta(days=1)


def write_certificates(folder: Path, *, host: str = HOST_NAME) -> dict[str, ssl.SSLContext]:
    """Make the authority and every certificate, for *host*; a server's context for each of `topology.CERTIFICATES`.

    *folder* then holds the authority's certificate for whoever verifies, and a file with key and certificate per
    name. ``expired`` ended yesterday, ``wrong-host`` is for another name, ``self-signed`` is nobody's word but its own.
    """
    authority_key, authority = _certificate("Stormproof lab authority", None, signed_by=None, ended=False)
    write_bytes(folder / AUTHORITY_FILE, _pem(authority))
    issuer = (authority_key, authority)
    made = {
        "valid": _certificate(host, host, signed_by=issuer, ended=False),
        "expired": _certificate(host, host, signed_by=issuer, ended=True),
        "wrong-host": _certificate(OTHER_HOST_NAME, OTHER_HOST_NAME, signed_by=issuer, ended=False),
        "self-signed": _certificate(host, host, signed_by=None, ended=False),
    }
    return {name: _server_context(folder / f"{name}.pem", *pair) for name, pair in made.items()}


def _certificate(
    subject: str,
    host: str | None,
    *,
    signed_by: tuple[EllipticCurvePrivateKey, x509.Certificate] | None,
    ended: bool,
) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate; without *host* an authority's, without *signed_by* signed by its own key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signer, issuer = (key, name) if signed_by is None else (signed_by[0], signed_by[1].subject)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * _DAY)
        .not_valid_after(now - _DAY if ended else now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return key, builder.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _server_context(path: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_bytes(path, private + _pem(certificate))
    path.chmod(0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
