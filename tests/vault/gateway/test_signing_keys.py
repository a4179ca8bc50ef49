import base64
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from tests.vault.gateway.doubles import private_der, rsa_key
from vault.gateway.errors import CredentialsInvalid, KeyFormatInvalid
from vault.gateway.signing import GatewayCredentials, load_private_key, load_public_key


def public_keys() -> dict[str, rsa.RSAPublicKey]:
    return {"1": rsa_key("gateway").public_key(), "2": rsa_key("gateway next").public_key()}


def armoured(label: str, der: bytes, *, ending: str = "\n") -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return ending.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def public_der(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def refused(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(KeyFormatInvalid) as caught:
        call(*arguments)
    return str(caught.value)


class TestPrivateKeys:
    @pytest.mark.parametrize("layout", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    @pytest.mark.parametrize("label", [None, "PRIVATE KEY", "RSA PRIVATE KEY"])
    @pytest.mark.parametrize("ending", ["\n", "\r\n", " \n\t"])
    def test_both_layouts_are_read_in_any_wrapping(self, layout: PrivateFormat, label: str | None, ending: str) -> None:
        key = rsa_key("merchant")
        der = private_der(key, layout)
        text = (
            armoured(label, der, ending=ending) if label else ending.join(textwrap.wrap(base64.b64encode(der).decode()))
        )
        assert load_private_key(text).private_numbers() == key.private_numbers()

    def test_a_key_below_2048_bits_is_refused(self) -> None:
        der = private_der(rsa_key("weak", 1024), PrivateFormat.PKCS8)
        assert "2048" in refused(load_private_key, base64.b64encode(der).decode())

    def test_a_key_of_another_algorithm_is_refused(self) -> None:
        der = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        assert "RSA" in refused(load_private_key, armoured("PRIVATE KEY", der))

    def test_an_encrypted_key_is_refused_with_a_hint(self) -> None:
        der = rsa_key("merchant").private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
        assert "encrypted" in refused(load_private_key, base64.b64encode(der).decode())

    def test_a_public_key_in_its_place_is_refused_with_a_hint(self) -> None:
        der = public_der(rsa_key("merchant").public_key())
        assert "private key" in refused(load_private_key, armoured("PUBLIC KEY", der))
        assert "private key" in refused(load_private_key, base64.b64encode(der).decode())

    @pytest.mark.parametrize(
        "text",
        ["", " \n", "=", "AAAA", "not base64!", "\u0661\u0662", "-----BEGIN PRIVATE KEY-----", "A" * 20_000, "\x00"],
    )
    def test_a_text_that_is_no_key_is_refused(self, text: str) -> None:
        refused(load_private_key, text)

    def test_a_truncated_or_extended_key_is_refused_without_quoting_it(self) -> None:
        der = private_der(rsa_key("merchant"), PrivateFormat.PKCS8)
        for damaged in (der[:-3], der + b"\x00" * 3, der[:40] + der[60:]):
            text = base64.b64encode(damaged).decode()
            assert text[:16] not in refused(load_private_key, text)

    def test_mismatched_armour_lines_are_refused(self) -> None:
        text = armoured("PRIVATE KEY", private_der(rsa_key("merchant"), PrivateFormat.PKCS8))
        refused(load_private_key, text.replace("END PRIVATE KEY", "END RSA PRIVATE KEY"))


class TestPublicKeys:
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_it_is_read_from_pem_and_bare_base64(self, *, wrapped: bool) -> None:
        key = rsa_key("gateway").public_key()
        der = public_der(key)
        text = armoured("PUBLIC KEY", der) if wrapped else base64.encodebytes(der).decode()
        assert load_public_key(text).public_numbers() == key.public_numbers()

    def test_a_private_key_in_its_place_is_refused_with_a_hint(self) -> None:
        der = private_der(rsa_key("merchant"), PrivateFormat.PKCS8)
        assert "public key" in refused(load_public_key, armoured("PRIVATE KEY", der))
        assert "public key" in refused(load_public_key, base64.b64encode(der).decode())

    def test_a_key_below_2048_bits_is_refused(self) -> None:
        assert "2048" in refused(
            load_public_key, armoured("PUBLIC KEY", public_der(rsa_key("weak", 1024).public_key()))
        )

    def test_a_key_of_another_algorithm_is_refused(self) -> None:
        der = public_der(ec.generate_private_key(ec.SECP256R1()).public_key())
        assert "RSA" in refused(load_public_key, armoured("PUBLIC KEY", der))

    def test_a_certificate_in_its_place_is_refused(self) -> None:
        assert "something else" in refused(load_public_key, armoured("CERTIFICATE", b"\x30\x00"))


class TestCredentials:
    def test_their_text_form_shows_no_key(self) -> None:
        credentials = GatewayCredentials("CLIENT", "1", rsa_key("merchant"), public_keys())
        assert repr(credentials) == "GatewayCredentials(client_id='CLIENT', key_version='1')"

    def test_changing_the_given_mapping_later_adds_no_trusted_key(self) -> None:
        keys = public_keys()
        credentials = GatewayCredentials("CLIENT", "1", rsa_key("merchant"), keys)
        keys["3"] = rsa_key("stranger").public_key()
        assert set(credentials.public_keys) == {"1", "2"}

    @pytest.mark.parametrize("client_id", ["", "a b", "a.b", "a\r\nHost: b", "x" * 65, "\u00fc"])
    def test_an_impossible_client_id_is_refused_unquoted(self, client_id: str) -> None:
        with pytest.raises(CredentialsInvalid) as caught:
            GatewayCredentials(client_id, "1", rsa_key("merchant"), public_keys())
        assert client_id == "" or client_id not in str(caught.value)

    @pytest.mark.parametrize("version", ["", "1,2", "\u0661", "v1", "1\n"])
    def test_an_impossible_key_version_is_refused(self, version: str) -> None:
        with pytest.raises(CredentialsInvalid):
            GatewayCredentials("CLIENT", version, rsa_key("merchant"), public_keys())
        with pytest.raises(CredentialsInvalid):
            GatewayCredentials("CLIENT", "1", rsa_key("merchant"), {version: rsa_key("gateway").public_key()})

    def test_credentials_that_could_verify_nothing_are_refused(self) -> None:
        with pytest.raises(CredentialsInvalid):
            GatewayCredentials("CLIENT", "1", rsa_key("merchant"), {})
