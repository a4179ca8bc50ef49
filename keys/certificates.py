"""What is read from X.509 certificates: what names one, and when it ends.

It refuses to know who shows it and whether it is trusted (TLS itself sees to that). Invariant: a file without a
certificate is one error, whatever else it holds.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes


class CertificateUnreadable(Exception):
    """A file holds no certificate in PEM, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: `fingerprint` is the SHA-256 of its DER, 32 octets; `ends` in UTC."""

    fingerprint: bytes
    ends: datetime


def read(path: Path) -> Certificate:
    """Read the first certificate of a PEM file; raises `CertificateUnreadable`."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError):
        raise CertificateUnreadable from None
    return Certificate(found.fingerprint(hashes.SHA256()), found.not_valid_after_utc)
