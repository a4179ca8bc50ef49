"""The AWS KMS seal against a double of the service over HTTP."""

import threading
from dataclasses import replace
from ipaddress import ip_network
from typing import cast

import pytest

from keys.errors import CannotOpen, SealRefused, SealUnreachable
from keys.rootkey import RootKey
from keys.seals import awskms
from keys.seals.address import AwsKmsAddress, address
from keys.seals.awskms import AwsKmsSeal
from tests.keys.rows import ENVIRONMENT
from tests.keys.seals.wraps import opened, require_a_good_seal
from tests.kms import Kms


def load(kms: Kms, arn: str) -> AwsKmsSeal:
    return awskms.load(cast("AwsKmsAddress", address(kms.uri(arn))))


@pytest.fixture
def arn(kms: Kms) -> str:
    return kms.new_key()


def test_a_wrap_opens_where_it_belongs_alone(kms: Kms, arn: str, root: RootKey) -> None:
    """The encryption context is bound by the service itself."""
    require_a_good_seal(load(kms, arn), load(kms, kms.new_key()), root)


def test_a_seal_is_named_by_the_keys_arn(kms: Kms, arn: str) -> None:
    assert load(kms, arn).name == f"awskms:{arn}"
    assert kms.calls == []


def test_a_disabled_key_opens_nothing(kms: Kms, arn: str, root: RootKey) -> None:
    """T-17."""
    seal = load(kms, arn)
    blob = seal.wrap_root(root, ENVIRONMENT)
    kms.disabled.add(arn)
    with pytest.raises(SealRefused, match="DisabledException"):
        opened(seal, blob, root)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDeniedException", SealRefused),
        ("KMSInvalidStateException", SealRefused),
        ("ThrottlingException", SealUnreachable),
        ("KMSInternalException", SealUnreachable),
        ("IncorrectKeyException", CannotOpen),
    ],
)
def test_whatever_the_service_says_opens_nothing(
    kms: Kms, arn: str, root: RootKey, code: str, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-17."""
    monkeypatch.setattr(awskms, "_ATTEMPTS", 1)
    seal = load(kms, arn)
    blob = seal.wrap_root(root, ENVIRONMENT)
    kms.failure = code
    with pytest.raises(expected):
        opened(seal, blob, root)


def test_a_service_that_hangs_is_given_up(kms: Kms, arn: str, root: RootKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """T-17."""
    monkeypatch.setattr(awskms, "_ATTEMPTS", 1)
    monkeypatch.setattr(awskms, "_ANSWER_SECONDS", 0.2)
    kms.hang = threading.Event()
    try:
        with pytest.raises(SealUnreachable, match="ReadTimeoutError"):
            load(kms, arn).wrap_root(root, ENVIRONMENT)
    finally:
        kms.hang.set()


def within(kms: Kms, arn: str, *networks: str, endpoint: str | None = None) -> AwsKmsSeal:
    known = cast("AwsKmsAddress", address(kms.uri(arn)))
    allowed = tuple(ip_network(each) for each in networks)
    return awskms.load(replace(known, networks=allowed, endpoint=endpoint or known.endpoint))


def test_a_service_within_its_networks_is_called(
    kms: Kms, arn: str, root: RootKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NET-2; a proxy of the environment would be asked in the service's place."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seal = within(kms, arn, "203.0.113.0/24", "127.0.0.0/8")
    assert opened(seal, seal.wrap_root(root, ENVIRONMENT), root) == root


def test_a_service_outside_of_its_networks_is_told_nothing(kms: Kms, arn: str, root: RootKey) -> None:
    """NET-2."""
    with pytest.raises(SealRefused, match="outside of the networks"):
        within(kms, arn, "203.0.113.0/24").wrap_root(root, ENVIRONMENT)
    assert kms.calls == []


def test_a_service_whose_name_leads_nowhere_is_out_of_reach(kms: Kms, arn: str, root: RootKey) -> None:
    seal = within(kms, arn, "203.0.113.0/24", endpoint="https://kms.invalid")
    with pytest.raises(SealUnreachable, match="leads nowhere"):
        seal.wrap_root(root, ENVIRONMENT)


def test_no_setting_of_the_service_leads_elsewhere(
    kms: Kms, arn: str, root: RootKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NET-2: keys go where the address says, whatever the environment says."""
    monkeypatch.setattr(awskms, "_ATTEMPTS", 1)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.setenv(name, kms.endpoint)
    seal = awskms.load(AwsKmsAddress(arn, "nowhere-1", networks=(ip_network("203.0.113.0/24"),)))
    with pytest.raises(SealUnreachable, match="leads nowhere"):
        seal.wrap_root(root, ENVIRONMENT)
    assert kms.calls == []


def test_without_credentials_there_is_no_seal(
    kms: Kms, arn: str, root: RootKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SealUnreachable, match="NoCredentials"):
        load(kms, arn).wrap_root(root, ENVIRONMENT)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SealUnreachable, match="ProfileNotFound"):
        load(kms, arn)
