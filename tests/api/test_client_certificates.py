"""API clients that are bound to certificates: who comes with none of them is turned away, whatever its key."""

import ssl
from pathlib import Path

import httpx2
import pytest

from keys.certificates import read
from ops.protocol import ServerConfig
from tests.api.shop import Sql, problem
from tests.installation import Installation, listening
from tests.vault.gateway.certificates import Authority
from vault.tls import server_context

pytestmark = pytest.mark.anyio


async def test_a_bound_key_works_with_its_certificate_alone(
    vault: Installation, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.auth._FRESH_SECONDS", 0.0)
    authority = Authority.new()
    trust, server, mine, other = (
        authority.trust_file(tmp_path),
        *(authority.identity(tmp_path, name) for name in ("server", "mine", "other")),
    )
    bound = read(mine).fingerprint
    await sql.change("update vault.api_client set certificates = $1 where id = $2", [bound], vault.tenants[0].client_id)
    refused = problem(await vault.api.get("/v1/payments"), 403, "certificate_not_allowed")
    assert refused["retryable"] is False
    changes = {"tls_certificate_file": server, "tls_key_file": server, "tls_client_ca_file": trust}
    context = server_context(vault.settings.model_copy(update=changes))
    config = ServerConfig(
        vault.app, max_connections=10, ssl_context_factory=lambda *_: context, lifespan="off", log_config=None
    )
    statuses = []
    async with listening(config) as port:
        for identity in (mine, other, None):
            shown = ssl.create_default_context(cafile=str(trust))
            if identity is not None:
                shown.load_cert_chain(identity)
            url = f"https://127.0.0.1:{port}"
            async with httpx2.AsyncClient(verify=shown, base_url=url, headers=vault.tenants[0].headers) as api:
                statuses.append((await api.get("/v1/payments")).status_code)
    assert statuses == [200, 403, 403]
