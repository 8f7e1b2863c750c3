"""What a browser shows at the console's address, without a password: what is served there, and where the rest is."""

from __future__ import annotations

import html
from string import Template
from typing import Final

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Safelight</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 44rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1.5rem; }
dt { font-weight: 600; margin-top: 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { border: 1px solid; overflow-wrap: anywhere; padding: .75rem; white-space: pre-wrap; }
</style>
</head>
<body>
<main>
<h1>Safelight $version</h1>
<p>The HTTP API is served here, read-only. Pages for sets, policies and alerts are still to come: the command line has
all of it, <code>safelight --help</code>.</p>
<dl>
<dt><a href="$prefix/openapi.json">$prefix/openapi.json</a></dt><dd>What the API can be asked</dd>
<dt><a href="$prefix/health">$prefix/health</a></dt><dd>Whether it answers</dd>
<dt><a href="/proxy.pac">/proxy.pac</a>, <a href="/wpad.dat">/wpad.dat</a></dt>
<dd>What sends browsers through the proxy</dd>
</dl>
<p>All else asks for the token in the file <code>console-token</code> of the data folder. The last alerts, for
example:</p>
<pre>curl -H "Authorization: Bearer $$(cat safelight-data/console-token)" $address$prefix/alerts</pre>
</main>
</body>
</html>
""")


def start_page(*, version: str, prefix: str, address: str) -> str:
    """Return the page; ``address`` is the console's as the browser has it, without a slash at its end."""
    values = {"version": version, "prefix": prefix, "address": address}
    return _PAGE.substitute({name: html.escape(value) for name, value in values.items()})
