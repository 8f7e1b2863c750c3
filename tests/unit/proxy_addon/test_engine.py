"""What the engine leaves out of mitmproxy is not missed."""

from __future__ import annotations

from pathlib import Path

from mitmproxy.http import Request, Response

from proxy_addon.engine import Engine
from proxy_addon.tls.certificates import ca_folder, trusted_bundle


async def test_messages_are_made_without_a_look_at_the_types_of_their_fields(tmp_path: Path) -> None:
    engine = Engine("127.0.0.1:0", ca_folder(tmp_path), trusted_bundle(None, tmp_path), [])
    host, _, port = (await engine.start()).rpartition(":")
    try:
        assert engine.listening()
        assert (host, port != "0") == ("127.0.0.1", True)
        unchecked = Request.make("GET", "http://origin.example/")
        unchecked.data.port = 1
        type(unchecked.data)(**{**vars(unchecked.data), "port": "eighty"})
        assert Response.make(204).status_code == 204
    finally:
        await engine.stop_listening()
        await engine.close()
