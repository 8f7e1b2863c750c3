"""The hands of a user: keys pressed in a running Chromium through its DevTools protocol.

What a script does is no user activation, and a browser says so to servers (Sec-Fetch-User); keys that come this way
are (https://chromedevtools.github.io/devtools-protocol/tot/Input/).
"""

from __future__ import annotations

import json
import socket
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Request, TextMessage

PORT_FILE: Final = "DevToolsActivePort"
"""In the profile, once ``--remote-debugging-port=0`` has found one: its port, then a path."""
PATIENCE: Final = 20.0
_KEYS: Final = {"Tab": (9, ""), "Enter": (13, "\r")}


class DevTools:
    """A connection to the browser whose profile this is."""

    def __init__(self, profile: Path) -> None:
        port, path = (profile / PORT_FILE).read_text().split()
        self._socket = socket.create_connection(("127.0.0.1", int(port)), PATIENCE)
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._numbers = count(1)
        self._socket.sendall(self._wire.send(Request(host=f"127.0.0.1:{port}", target=path)))
        assert isinstance(self._event(), AcceptConnection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._socket.sendall(self._wire.send(TextMessage(data=json.dumps(message))))
        while True:
            answer = json.loads(self._text())
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])

    def page(self, title: str) -> str:
        """Return the session of the page with this title, which has the focus from now on."""
        targets = self.command("Target.getTargets")["targetInfos"]
        pages = {target["title"]: target["targetId"] for target in targets if target["type"] == "page"}
        assert title in pages, sorted(pages)
        session = str(self.command("Target.attachToTarget", targetId=pages[title], flatten=True)["sessionId"])
        self.command("Page.bringToFront", session)
        self.command("Emulation.setFocusEmulationEnabled", session, enabled=True)
        return session

    def focused(self, session: str) -> str:
        """Return the name of the field that has the cursor, or an empty string."""
        result = self.command("Runtime.evaluate", session, expression="document.activeElement?.name ?? ''")
        return str(result["result"]["value"])

    def write(self, session: str, text: str) -> None:
        """Put text where the cursor is."""
        self.command("Input.insertText", session, text=text)

    def press(self, session: str, key: str) -> None:
        """Press and release a key."""
        code, text = _KEYS[key]
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.command("Input.dispatchKeyEvent", session, type="keyDown", text=text, **facts)
        self.command("Input.dispatchKeyEvent", session, type="keyUp", **facts)

    def _text(self) -> str:
        parts = []
        while True:
            event = self._event()
            assert isinstance(event, TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts)

    def _event(self) -> Event:
        while not self._events:
            self._wire.receive_data(self._socket.recv(65536) or None)
            self._events += self._wire.events()
        return self._events.pop(0)
