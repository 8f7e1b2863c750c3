import pytest

from proxy_addon.identity.directory import parse_directory
from proxy_addon.identity.identifiers import Asked, DirectoryIdentifier, GroupsIdentifier, Identity, TrustedProxies
from shared.types import Actor

DIRECTORY = parse_directory(
    """
    [[network]]
    networks = ["192.0.2.7"]
    user = "alice"
    groups = ["floor-2", "design"]
    device = "laptop-17"
    [groups]
    design = ["Alice", "bob"]
    board = ["alice"]
    """
)


async def test_what_each_identifier_knows_adds_up() -> None:
    identity = Identity([DirectoryIdentifier(lambda: DIRECTORY), GroupsIdentifier(lambda: DIRECTORY)])
    actor = await identity.actor(Asked(ip="192.0.2.7"))
    assert actor == Actor(ip="192.0.2.7", user="alice", groups=("floor-2", "design", "board"), device="laptop-17")
    assert (await identity.actor(Asked(ip="192.0.2.7", device="agent-3"))).device == "agent-3"
    assert await identity.actor(Asked(ip="198.51.100.1")) == Actor(ip="198.51.100.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["203.0.113.9, 192.0.2.7"], "192.0.2.7"),  # what stands before it is the client's own claim
        ("10.0.0.1", ["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7", "10.0.0.2"], "192.0.2.7"),  # a field in two lines is one list
        ("10.0.0.1", ["192.0.2.7:51000"], "192.0.2.7"),
        ("10.0.0.1", ["[2001:db8::7]:51000"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("198.51.100.1", ["192.0.2.7"], "198.51.100.1"),  # nobody trusts this one
    ],
)
def test_the_last_hop_that_is_not_trusted_is_the_client(peer: str, forwarded: list[str], client: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client(peer, forwarded) == client


def test_an_ipv4_network_holds_the_address_that_ipv6_carries() -> None:
    assert "::ffff:10.0.0.1" in TrustedProxies(["10.0.0.0/8"])
    assert "10.0.0.1" not in TrustedProxies([])
    assert "" not in TrustedProxies(["0.0.0.0/0"])
