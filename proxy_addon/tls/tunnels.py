"""Counts what passes unseen: tunnels that do not speak HTTP, TLS that is not decrypted."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy.connection import Client, Server
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers.tcp import TCPLayer
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer
from mitmproxy.proxy.tunnel import TunnelState
from mitmproxy.tcp import TCPFlow

from proxy_addon import flows
from proxy_addon.reporting.ledger import Ledger
from shared.telemetry import Metrics
from shared.types import Direction, UninspectedReason

_OPAQUE = UninspectedReason.OPAQUE


class CountedClientTls(ClientTLSLayer):
    """mitmproxy's layer for TLS with a client; where it steps aside, the bytes that it lets through are counted."""

    def __init__(self, context: Context, count: Callable[[Context, Direction, int], None]) -> None:
        super().__init__(context)
        self._count = count

    def event_to_child(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass an event on to the layer above."""
        # A layer without a flow is what is made for a connection that is ignored.
        ignored = isinstance(self.child_layer, TCPLayer) and self.child_layer.flow is None
        queued = self.tunnel_state is TunnelState.ESTABLISHING  # it will come again
        if ignored and not queued and isinstance(event, events.DataReceived):
            direction = Direction.OUTBOUND if event.connection == self.context.client else Direction.INBOUND
            self._count(self.context, direction, len(event.data))
        yield from super().event_to_child(event)


class Tunnels:
    """The addon; stands after mitmproxy's own choice of a layer."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._reasons: dict[str, str] = {}  # id of a client connection -> why its TLS is let through

    def let_through(self, client: Client, server: Server, reason: str) -> None:
        """Take note that the TLS of a connection is not decrypted."""
        self._reasons[client.id] = reason
        self._ledger.book(flows.tunnel_host(client, server), Direction.OUTBOUND, reason, 0)

    def client_disconnected(self, client: Client) -> None:
        """Forget a connection."""
        self._reasons.pop(client.id, None)

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Put the counting layer where mitmproxy has just chosen to speak TLS with a client inside a tunnel."""
        outer = nextlayer.layer
        if not isinstance(outer, ServerTLSLayer) or type(outer.child_layer) is not ClientTLSLayer:
            return
        context = outer.child_layer.context
        context.layers.remove(outer.child_layer)  # a layer enters itself when it is made
        outer.child_layer = CountedClientTls(context, self._count)

    def tcp_start(self, flow: TCPFlow) -> None:
        """Count a tunnel."""
        self._metrics.count("safelight_proxy_uninspected_total", reason=_OPAQUE)
        host = flows.tunnel_host(flow.client_conn, flow.server_conn)
        self._ledger.book(host, Direction.OUTBOUND, _OPAQUE, 0)

    def tcp_message(self, flow: TCPFlow) -> None:
        """Count a piece, and let go of it: mitmproxy would keep all that a tunnel ever carried."""
        host = flows.tunnel_host(flow.client_conn, flow.server_conn)
        for message in flow.messages:
            self._book(
                host, Direction.OUTBOUND if message.from_client else Direction.INBOUND, _OPAQUE, len(message.content)
            )
        flow.messages.clear()

    def _count(self, context: Context, direction: Direction, size: int) -> None:
        reason = self._reasons.get(context.client.id, _OPAQUE)
        self._book(flows.tunnel_host(context.client, context.server), direction, reason, size)

    def _book(self, host: str, direction: Direction, reason: str, size: int) -> None:
        self._ledger.received(direction, size)
        self._ledger.book(host, direction, reason, size, bodies=0)
