import pytest

from keys.keyring import Keyring, Location
from keys.rootkey import RootKey
from tests.keys.rows import ENVIRONMENT, MERCHANT, MemoryRows, RingOf


@pytest.fixture(scope="session")
def root() -> RootKey:
    return RootKey.generate(1)


@pytest.fixture
def rows(root: RootKey) -> MemoryRows:
    return MemoryRows(root)


@pytest.fixture
def ring_of(root: RootKey) -> RingOf:
    def build(rows: MemoryRows, **options: int) -> Keyring:
        return Keyring({root.key_id: root}, rows, ENVIRONMENT, **options)

    return build


@pytest.fixture
def keyring(rows: MemoryRows, ring_of: RingOf) -> Keyring:
    return ring_of(rows)


@pytest.fixture
def place() -> Location:
    return Location(MERCHANT, "card", "card_bbbbbbbbbbbbbbbbbbbbbbbbbb", "pan")
