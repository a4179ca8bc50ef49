"""`/docs`: the API's description for people, outside production; everything the page needs comes from this server.

It refuses to know the API: the page reads `/openapi.json`. Invariant: the browser is told to load nothing from anywhere
else. Swagger UI comes with a package of the playground's (`embedded`); without it there is no page.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

PATH: Final = "/docs"
_BUNDLE: Final = "fastapi_offline"
_FILES: Final = ("swagger-ui.css", "swagger-ui-bundle.js")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cardvault API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PATH}/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="{PATH}/swagger-ui-bundle.js"></script>
<script src="{PATH}/start.js"></script>
</body>
</html>
"""
_START: Final = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null});\n"


def routes(package: str = _BUNDLE) -> list[BaseRoute]:
    """Give the page's routes, none where Swagger UI is not installed."""
    bundle = find_spec(package)
    if bundle is None or bundle.origin is None:
        return []
    folder = Path(bundle.origin).parent / "static"

    async def file(request: Request) -> Response:
        return FileResponse(folder / request.url.path.removeprefix(f"{PATH}/"))

    files = [Route(f"{PATH}/{name}", file) for name in _FILES]
    return [Route(PATH, _page), Route(f"{PATH}/start.js", _start), *files]


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript")
