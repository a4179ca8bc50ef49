"""What the pages for buyers look like: one sheet of style, no scripts, nothing from elsewhere.

Refuses to know payments. Invariant: nothing from a request reaches a page unescaped, and a page loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from http import HTTPStatus

from aiohttp import web

STYLE = """
body{margin:0;background:#f2f4f7;color:#1d2733;font:16px/1.5 system-ui,sans-serif}
main{max-width:24rem;margin:10vh auto;padding:2rem;background:#fff;border:1px solid #d5dbe3;border-radius:.75rem}
h1{font-size:1.15rem;margin:0 0 1.25rem}p{margin:.75rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.25rem;margin:0 0 1.5rem}
dt{color:#5a6775}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
label{display:block;margin:.5rem 0}input:not([type]){width:100%;box-sizing:border-box;padding:.5rem;font:inherit}
button{display:block;width:100%;margin-top:.75rem;padding:.7rem;font:inherit;border-radius:.5rem;cursor:pointer;
border:1px solid #1d5fbf;background:#1d5fbf;color:#fff}button+button{background:#fff;color:#a32020;border-color:#a32020}
small{color:#5a6775}
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body><main>{content}</main></body></html>
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def message(title: str, status: HTTPStatus, sentence: str) -> web.Response:
    """Return a page that says one thing."""
    return page(title, status, f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p>", None)


def page(title: str, status: HTTPStatus, content: str, redirect_url: str | None) -> web.Response:
    """Return a page; a form on it may lead back to `redirect_url`."""
    # Browsers apply form-action to the redirect that follows the form, so an app's own scheme has to be named.
    scheme = (redirect_url or "https:").partition(":")[0]
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' http: https: {scheme}:"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    text = PAGE.format(title=escape(title), style=STYLE, content=content)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def send_back(title: str, redirect_url: str | None) -> web.Response:
    """Return the buyer to the merchant, or say that there is nowhere to return to."""
    if redirect_url is None:
        return message(title, HTTPStatus.OK, "Done. The merchant gave no address to return to.")
    headers = {"Location": redirect_url, "Cache-Control": "no-store"}
    return web.Response(status=HTTPStatus.SEE_OTHER, headers=headers)
