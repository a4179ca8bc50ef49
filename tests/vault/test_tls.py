"""The context of a server's TLS: what it speaks, and settings that cannot be used (NET-1)."""

import ssl
from pathlib import Path

import pytest

from tests.installation import secured, settings_for
from tests.vault.gateway.certificates import Authority
from vault.settings import SettingsInvalid
from vault.tls import server_context


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


def test_an_old_version_is_refused(tmp_path: Path, authority: Authority) -> None:
    context = server_context(secured(tmp_path, authority))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert {suite["name"].split("-")[0] for suite in context.get_ciphers()} == {
        "ECDHE",
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    }


def test_callers_are_asked_for_certificates_of_the_authorities_alone(tmp_path: Path, authority: Authority) -> None:
    context = server_context(secured(tmp_path, authority, tls_client_ca_file=authority.trust_file(tmp_path)))
    assert context is not None
    assert (context.verify_mode, len(context.get_ca_certs())) == (ssl.CERT_OPTIONAL, 1)


@pytest.mark.parametrize("setting", ["tls_certificate_file", "tls_client_ca_file"])
def test_files_that_are_no_certificates_are_refused_with_their_mend(
    tmp_path: Path, authority: Authority, setting: str
) -> None:
    (tmp_path / "empty").write_text("nothing")
    with pytest.raises(SettingsInvalid, match=f"CARDVAULT_{setting.upper()}: cannot be used; give"):
        server_context(secured(tmp_path, authority, **{setting: tmp_path / "empty"}))


def test_without_a_certificate_there_is_no_tls(tmp_path: Path) -> None:
    assert server_context(settings_for(tmp_path, "postgresql://nobody@127.0.0.1/none")) is None
