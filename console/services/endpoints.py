"""What an endpoint is given so that it goes through the proxy: a PAC file, and a profile for Apple's devices."""

from __future__ import annotations

import hashlib
import json
import plistlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

PAC_TYPE: Final = "application/x-ns-proxy-autoconfig"
_PRIVATE_NETS: Final = (
    ("10.0.0.0", "255.0.0.0"),
    ("172.16.0.0", "255.240.0.0"),
    ("192.168.0.0", "255.255.0.0"),
    ("127.0.0.0", "255.0.0.0"),
    ("169.254.0.0", "255.255.0.0"),
)
"""RFC 1918, loopback and link-local."""

_PAC: Final = """\
// Which requests go through Safelight.  Plain ECMAScript 3: Windows runs this with its oldest engine.
function FindProxyForURL(url, host) {{
  host = host.toLowerCase();
  if (isPlainHostName(host)) return "DIRECT";
  if (/^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$/.test(host)) {{
    // Only for addresses: for a name isInNet would ask the DNS, and hold the browser meanwhile.
    var nets = {nets};
    for (var n = 0; n < nets.length; n++) if (isInNet(host, nets[n][0], nets[n][1])) return "DIRECT";
  }}
  if (/^(::1$|f[cd][0-9a-f][0-9a-f]:|fe[89ab][0-9a-f]:)/.test(host)) return "DIRECT";
  var direct = {direct};
  for (var d = 0; d < direct.length; d++) if (shExpMatch(host, direct[d])) return "DIRECT";
  return {proxies};
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way through the proxy: its addresses in order, hosts that go around it, and whether all may if none answers.

    ``proxies`` are host:port; ``direct`` are patterns with ``*``.
    """

    proxies: tuple[str, ...]
    direct: tuple[str, ...] = ()
    fail_open: bool = False


def pac_file(route: Route) -> str:
    """Return a proxy auto-configuration file.

    Without ``fail_open`` there is no DIRECT at the end of the list: a proxy that does not answer is an error, not a way
    around it.  The file's format: https://developer.mozilla.org/docs/Web/HTTP/Guides/Proxy_servers_and_tunneling.
    """
    ways = [f"PROXY {address}" for address in route.proxies] + (["DIRECT"] if route.fail_open else [])
    return _PAC.format(
        nets=json.dumps([list(net) for net in _PRIVATE_NETS]),
        direct=json.dumps([host.lower() for host in route.direct], indent=4),
        proxies=json.dumps("; ".join(ways)),
    )


def mobileconfig(ca: bytes, route: Route, *, pac_url: str = "", organization: str = "Safelight") -> bytes:
    """Return a configuration profile: the CA (``ca``: DER), and the global HTTP proxy, which supervised devices take.

    Keys: https://developer.apple.com/documentation/devicemanagement/certificateroot and .../globalhttpproxy.  The
    identifiers depend on the content alone, so a profile that is made again replaces the one that is installed.
    """
    certificate = {
        "PayloadCertificateFileName": "safelight-ca.cer",
        "PayloadContent": ca,
        "PayloadDescription": "The authority that signs for inspected connections",
        **_payload("com.apple.security.root", f"{organization} inspection CA", ca),
    }
    proxy = {
        **_proxy(route, pac_url),
        "ProxyCaptiveLoginAllowed": True,
        **_payload("com.apple.proxy.http.global", f"{organization} proxy", ca),
    }
    profile = {
        "PayloadContent": [certificate, proxy],
        "PayloadOrganization": organization,
        "PayloadRemovalDisallowed": False,
        "PayloadScope": "System",
        **_payload("Configuration", f"{organization} image inspection", ca),
    }
    return plistlib.dumps(profile)


def _proxy(route: Route, pac_url: str) -> dict[str, Any]:
    if pac_url:
        return {"ProxyType": "Auto", "ProxyPACURL": pac_url, "ProxyPACFallbackAllowed": route.fail_open}
    host, _, port = route.proxies[0].rpartition(":")
    return {"ProxyType": "Manual", "ProxyServer": host.strip("[]"), "ProxyServerPort": int(port)}


def _payload(kind: str, name: str, ca: bytes) -> dict[str, Any]:
    identifier = f"safelight.{hashlib.sha256(ca).hexdigest()[:16]}.{kind}"
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(uuid5(NAMESPACE_URL, identifier)).upper(),
        "PayloadDisplayName": name,
    }


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in their order, each once."""
    return tuple(dict.fromkeys(names))
