"""Certificates that are right, and wrong in one respect each."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of its own, made in memory."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("Test Authority"), key, until=NOW + DAY, issuer=_name("Test Authority"))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def trust_file(self, folder: Path) -> Path:
        path = folder / "authority.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def server(self, folder: Path, *, host: str = "127.0.0.1", until: dt.datetime = NOW + DAY) -> ssl.SSLContext:
        """Make a server whose certificate names `host` and ends at `until`."""
        self.identity(folder, host=host, until=until)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        return context

    def identity(
        self, folder: Path, name: str = "server", *, host: str = "127.0.0.1", until: dt.datetime = NOW + DAY
    ) -> Path:
        """Write a key and its certificate into one file, for a server or a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
        builder = _builder(_name("gateway"), key, until=until, issuer=issuer)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _write(folder / f"{name}.pem", key, builder.sign(self.key, hashes.SHA256()))


def self_signed_server(folder: Path) -> ssl.SSLContext:
    authority = Authority.new()
    return _context(folder, authority.key, authority.certificate)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, until: dt.datetime, issuer: x509.Name
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(until)
    )


def _context(folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_write(folder / "server.pem", key, certificate))
    return context


def _write(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
