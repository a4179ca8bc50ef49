"""The AWS KMS seal against a double of the service over HTTP."""

import threading
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
