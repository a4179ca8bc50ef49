from pathlib import Path

import pytest

from keys.certificates import CertificateUnreadable, read
from tests.vault.gateway.certificates import NOW, Authority


def test_a_certificate_says_when_it_ends(tmp_path: Path) -> None:
    assert read(Authority.new().identity(tmp_path, until=NOW)).ends == NOW.replace(microsecond=0)
    with pytest.raises(CertificateUnreadable):
        read(tmp_path / "missing")
