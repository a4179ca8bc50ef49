"""Keys between a merchant and the gateway: changed without a failing payment, and a wrong one is found before."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from ops.sandbox.config import SandboxConfig
from ops.sandbox.server import Sandbox
from tests.installation import key_pair
from tests.ops.cli.commands import Desk, desk_at
from tests.ops.cli.conftest import KeyTexts

CLIENT_ID = "SANDBOX_KEYS"


@dataclass(frozen=True, slots=True)
class Counter:
    """An operator's desk, a gateway that runs beside it, and a merchant that both know."""

    desk: Desk
    gateway_url: str
    gateway_key: str
    merchant_id: str

    def register(self, public_key: str, version: str) -> None:
        register(self.gateway_url, public_key, version)

    def rotation(self, *options: str) -> tuple[str, ...]:
        return ("merchants", "rotate-gateway-key", self.merchant_id, *options)

    def new_key(self, private_key: str, version: str) -> tuple[str, ...]:
        file = self.desk.file("new.pem", private_key)
        return self.rotation("--gateway-private-key-file", file, "--key-version", version)

    def gateways_key(self, public_key: str, version: str) -> tuple[str, ...]:
        file = self.desk.file("gateway-new.pem", public_key)
        return self.rotation("--gateway-public-key-file", file, "--gateway-key-version", version)

    def found(self, code: int) -> str:
        """Give what the doctor finds between the merchant and the gateway."""
        result = self.desk.run("doctor", "--json")
        assert result.exit_code == code, result.output
        findings = [each for area in json.loads(result.stdout)["areas"] for each in area["findings"]]
        [said] = [each["finding"] for each in findings if each["finding"].startswith(f"{self.merchant_id}:")]
        return str(said).removeprefix(f"{self.merchant_id}: ")


def register(gateway_url: str, public_key: str, version: str) -> None:
    body = {"clientId": CLIENT_ID, "publicKey": public_key, "keyVersion": version}
    assert httpx2.post(f"{gateway_url}/_sandbox/clients", json=body).status_code == 200


@pytest.fixture(scope="session")
def gateway_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway") / "key.pem"


@pytest.fixture
def counter(tmp_path: Path, database_url: str, key_texts: KeyTexts, gateway_key_file: Path) -> Iterator[Counter]:
    private, public = key_texts.private, key_texts.public
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Sandbox(SandboxConfig(gateway_key_file=gateway_key_file))) as sandbox,
    ):
        register(sandbox.url, public, "1")
        beside = desk_at(tmp_path, database_url)
        desk = Desk(tmp_path, {**beside.env, "CARDVAULT_GATEWAY_URL": sandbox.url})
        desk.data("keys", "init")
        made = desk.data(
            *("merchants", "create", "--name", "Shop", "--gateway-client-id", CLIENT_ID),
            *("--gateway-private-key-file", desk.file("merchant.pem", private)),
            *("--gateway-public-key-file", desk.file("gateway.pem", sandbox.gateway_public_key)),
        )
        yield Counter(desk, sandbox.url, sandbox.gateway_public_key, made["merchantId"])


def shown(counter: Counter) -> dict[str, object]:
    keys: dict[str, object] = counter.desk.data("merchants", "show", counter.merchant_id)["gatewayKeys"]
    return keys


def test_a_key_is_changed_while_the_gateway_knows_both(counter: Counter) -> None:
    assert counter.found(0) == "both sides know each other's keys"
    private, public = key_pair()
    counter.register(public, "2")
    result = counter.desk.run(*counter.new_key(private, "2"), "--json")
    assert result.exit_code == 0, result.output
    assert private not in result.output
    keys = json.loads(result.stdout)["gatewayKeys"]
    assert keys == shown(counter)
    assert keys["signing"]["keyVersion"] == "2"
    assert [known["keyVersion"] for known in keys["gateway"]] == ["1"]
    assert counter.found(0) == "both sides know each other's keys"


def test_a_key_that_the_gateway_does_not_know_changes_nothing(counter: Counter) -> None:
    before = shown(counter)
    private, _ = key_pair()
    said = counter.desk.refusal(*counter.new_key(private, "2"))
    assert "the gateway has no key of the merchant's version; nothing was changed" in said
    assert "private key is not the one the gateway knows" in counter.desk.refusal(*counter.new_key(private, "1"))
    assert shown(counter) == before


def test_the_gateways_keys_overlap_until_one_is_retired(counter: Counter) -> None:
    _, future = key_pair()
    counter.desk.data(*counter.gateways_key(future, "2"))
    assert [known["keyVersion"] for known in shown(counter)["gateway"]] == ["1", "2"]  # type: ignore[attr-defined]
    assert counter.found(0) == "both sides know each other's keys"
    said = counter.desk.refusal(*counter.rotation("--retire-gateway-key", "1"))
    assert "signs with a version of its key that is not known here; nothing was changed" in said
    counter.desk.data(*counter.rotation("--retire-gateway-key", "2"))
    assert [known["keyVersion"] for known in shown(counter)["gateway"]] == ["1"]  # type: ignore[attr-defined]


def test_a_wrong_key_is_found_by_the_doctor_before_a_payment_finds_it(counter: Counter) -> None:
    private, public = key_pair()
    said = counter.desk.refusal(*counter.gateways_key(public, "1"))
    assert "the gateway's public key is another one; nothing was changed" in said
    counter.desk.data(*counter.gateways_key(public, "1"), "--unchecked")
    assert counter.found(1) == "the gateway's public key is another one"
    counter.desk.data(*counter.gateways_key(counter.gateway_key, "1"))
    counter.desk.data(*counter.new_key(private, "1"), "--unchecked")
    assert counter.found(1) == "the merchant's private key is not the one the gateway knows"


def test_a_disabled_merchant_is_not_asked_for(counter: Counter) -> None:
    counter.desk.data("merchants", "disable", counter.merchant_id)
    areas = json.loads(counter.desk.run("doctor", "--json").stdout)["areas"]
    assert counter.merchant_id not in json.dumps([each for each in areas if each["area"] == "gateway"])


def test_keys_that_do_not_open_are_a_finding(counter: Counter) -> None:
    import asyncio

    import asyncpg

    async def spoil() -> None:
        url = counter.desk.env["CARDVAULT_DATABASE_URL"].replace("+asyncpg", "")
        connection = await asyncpg.connect(url)
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "update vault.merchant set gateway_credentials = set_byte(gateway_credentials, 40, "
            "get_byte(gateway_credentials, 40) # 1)"
        )
        await connection.close()

    asyncio.run(spoil())
    assert counter.found(1) == "its keys do not open"


def test_a_gateway_that_is_away_changes_nothing_unless_it_is_not_to_be_asked(counter: Counter) -> None:
    away = {"gateway_url": "http://127.0.0.1:9"}
    private, _ = key_pair()
    said = counter.desk.refusal(*counter.new_key(private, "2"), **away)
    assert "the gateway was not asked (connect_failed); nothing was changed" in said
    assert counter.desk.run(*counter.new_key(private, "2"), "--unchecked", **away).exit_code == 0


def test_what_cannot_be_changed_is_refused(counter: Counter) -> None:
    assert "nothing to change" in counter.desk.refusal(*counter.rotation())
    assert "no gateway key of version 7" in counter.desk.refusal(*counter.rotation("--retire-gateway-key", "7"))
    last = counter.rotation("--retire-gateway-key", "1", "--unchecked")
    assert "at least one public key of the gateway is needed" in counter.desk.refusal(*last)
    nonsense = base64.b64encode(b"no key").decode()
    assert nonsense not in counter.desk.refusal(*counter.new_key(nonsense, "2"))


@pytest.mark.parametrize(
    ("option", "missing"),
    [("--gateway-private-key-file", "--key-version"), ("--gateway-public-key-file", "--gateway-key-version")],
)
def test_a_key_comes_with_its_version(desk: Desk, option: str, missing: str) -> None:
    result = desk.run("merchants", "rotate-gateway-key", "mer_x", option, desk.file("key", "text"))
    assert result.exit_code == 2
    assert missing in result.stderr
