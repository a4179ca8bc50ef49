import ssl
from pathlib import Path

import pytest

from vault.gateway.endpoint import origin, tls_context


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://gateway.example", "https://gateway.example"),
        ("https://gateway.example:8443/", "https://gateway.example:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_gateway_is_a_scheme_a_host_and_a_port(url: str, expected: str) -> None:
    assert origin(url, allow_plain_http=False) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gateway.example",
        "ftp://gateway.example",
        "https://",
        "https://user:secret@gateway.example",
        "https://@gateway.example",
        "https://gateway.example/ams",
        "https://gateway.example/?secret=1",
        "https://gateway.example/#secret",
        "http://gateway.example",
    ],
)
def test_an_unsuitable_address_is_refused_unquoted(url: str) -> None:
    with pytest.raises(ValueError, match="the gateway URL must") as caught:
        origin(url, allow_plain_http=False)
    assert "gateway.example" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_plain_http_needs_permission() -> None:
    assert origin("http://127.0.0.1:1", allow_plain_http=True) == "http://127.0.0.1:1"


def test_certificates_and_host_names_are_always_verified() -> None:
    context = tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_session_keys_are_not_written_where_the_environment_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert tls_context(None).keylog_filename is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_empty_trust_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "absent.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ssl.SSLError):
        tls_context(tmp_path / "empty.pem")
