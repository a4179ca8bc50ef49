"""The page of the API's description: all of it from this server, held to by the browser, and never in production."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from tests.installation import settings_for
from vault.app import create_app
from vault.middleware import Edge
from vault.routes import docs_page

pytestmark = pytest.mark.anyio
SOURCE = re.compile(r'(?:src|href)="([^"]+)"')


def paths_of(**settings: Any) -> set[str | None]:
    app = create_app(settings_for(Path("/nowhere"), "postgresql://nobody@127.0.0.1/none", **settings))
    return {getattr(route, "path", None) for route in app.routes}


def test_production_has_no_page() -> None:
    shown = {"/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
    assert shown < paths_of()
    production = {"gateway_url": "https://gateway.example", "public_url": "https://vault.example"}
    assert not {path for path in paths_of(environment="production", **production) if path and "docs" in path}


async def test_everything_the_page_loads_is_here_and_nothing_else_may_be_loaded() -> None:
    transport = httpx2.ASGITransport(app=Edge(Starlette(routes=docs_page.routes()), https=False))
    async with httpx2.AsyncClient(transport=transport, base_url="http://vault") as client:
        page = await client.get("/docs")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "'unsafe-eval'" not in policy
        assert "http" not in policy
        assert "<script>" not in page.text
        sources = [source for source in SOURCE.findall(page.text) if source != "data:,"]
        assert len(sources) == 3
        for source in sources:
            answer = await client.get(source)
            assert (answer.status_code, answer.headers["content-type"].split(";")[0]) in {
                (200, "text/css"),
                (200, "text/javascript"),
            }


def test_without_swagger_ui_there_is_no_page() -> None:
    assert docs_page.routes("no_such_package") == []
