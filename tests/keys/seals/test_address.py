from pathlib import Path

import pytest

from keys.errors import SealAddressInvalid
from keys.seals.address import AwsKmsAddress, LocalAddress, Pkcs11Address, address, addresses

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOKEN = "pkcs11:token=Card%20vault;object=root?module-path=/usr/lib/hsm.so&pin-source=file:/run/pin"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "hunter2",
        "local:",
        "local:hunter2",
        "local:/a?passphrase-file=hunter2",
        "local:/a?hunter2=/b",
        "local:/a?passphrase-file=/b&passphrase-file=/hunter2",
        "local:/a?hunter2",
        "local:/hunter2\x1b[2J",
        "pkcs11:token=hunter2",
        "pkcs11:token=a;object=hunter2?module-path=/m.so",
        "pkcs11:token=;object=hunter2?module-path=/m.so&pin-source=file:/p",
        "pkcs11:token=a;object=b?module-path=m.so&pin-source=file:/hunter2",
        "pkcs11:token=a;object=b?module-path=/m.so&pin-value=hunter2",
        "pkcs11:token=a;object=b?module-path=/m.so&pin-source=file:/p&pin-value=hunter2",
        "awskms:alias/hunter2",
        "awskms:arn:aws:kms:eu-central-1:111122223333:alias/hunter2",
        f"awskms:{ARN}?hunter2=1",
        f"awskms:{ARN}?endpoint=http://hunter2.example",
        f"awskms:{ARN}?endpoint=http://[hunter2",
        "transit:hunter2",
    ],
)
def test_what_names_no_seal_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SealAddressInvalid) as refused:
        address(uri)
    assert "hunter2" not in str(refused.value)


def test_a_pin_has_no_place_in_an_address() -> None:
    """KEY-6."""
    with pytest.raises(SealAddressInvalid, match="no PIN in it"):
        address("pkcs11:token=a;object=b?module-path=/m.so&pin-value=1234")


def test_each_kind_is_read() -> None:
    assert address("local:/a b/c?passphrase-file=/d") == LocalAddress(Path("/a b/c"), Path("/d"))
    assert address(TOKEN) == Pkcs11Address(Path("/usr/lib/hsm.so"), "Card vault", "root", Path("/run/pin"))
    assert address(f"awskms:{ARN}") == AwsKmsAddress(ARN, "eu-central-1")
    assert address(f"awskms:{ARN}?endpoint=https://kms.example") == AwsKmsAddress(
        ARN, "eu-central-1", "https://kms.example"
    )


def test_what_is_shown_of_an_address_is_where_it_is_and_not_how_it_opens() -> None:
    assert str(address(TOKEN)) == "pkcs11:token=Card vault;object=root"
    assert str(address("local:/a?passphrase-file=/d")) == "local:/a"
    assert str(address(f"awskms:{ARN}?endpoint=http://127.0.0.1:9")) == f"awskms:{ARN}"


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n  "])
def test_several_are_read_in_their_order(between: str) -> None:
    found = addresses(between.join(["local:/a, b/c", TOKEN, f"awskms:{ARN}"]))
    assert [type(each) for each in found] == [LocalAddress, Pkcs11Address, AwsKmsAddress]
    assert str(found[0]) == "local:/a, b/c"


def test_a_seal_is_named_once() -> None:
    with pytest.raises(SealAddressInvalid, match="twice"):
        addresses("local:/a local:/a?passphrase-file=/b")
