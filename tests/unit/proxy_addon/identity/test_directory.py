import json

import pytest

from proxy_addon.identity.directory import Entry, parse_address, parse_directory
from shared.errors import ConfigError

FILE = """
[[network]]
networks = ["10.1.0.0/16"]
groups = ["staff"]

[[network]]
networks = ["10.1.2.3", "2001:db8::/64"]
user = "Alice@corp.example"
groups = ["design"]
device = "laptop-17"

[groups]
finance = ["bob@corp.example", "alice@CORP.example"]
board = ["alice@corp.example"]
"""


@pytest.mark.parametrize(
    ("ip", "entry"),
    [
        ("10.1.9.9", Entry(groups=("staff",))),
        ("10.1.2.3", Entry(user="Alice@corp.example", groups=("design",), device="laptop-17")),
        ("::ffff:10.1.2.3", Entry(user="Alice@corp.example", groups=("design",), device="laptop-17")),
        ("2001:db8::7", Entry(user="Alice@corp.example", groups=("design",), device="laptop-17")),
        ("2001:db8:1::7", Entry()),
        ("10.2.0.1", Entry()),
        ("nonsense", Entry()),
        ("", Entry()),
    ],
)
def test_the_most_specific_network_tells_who_has_an_address(ip: str, entry: Entry) -> None:
    assert parse_directory(FILE).at(ip) == entry


def test_groups_of_a_user_whatever_the_case() -> None:
    directory = parse_directory(FILE)
    assert directory.groups_of("ALICE@corp.example") == ("finance", "board")
    assert directory.groups_of("carol@corp.example") == ()
    assert directory.groups_of("") == ()


def test_json_with_the_same_keys() -> None:
    text = json.dumps({"network": [{"networks": ["0.0.0.0/0"], "user": "everybody"}], "groups": {"all": ["everybody"]}})
    directory = parse_directory(text, is_json=True)
    assert directory.at("192.0.2.1").user == "everybody"
    assert directory.groups_of("everybody") == ("all",)


def test_a_scoped_address_is_an_address() -> None:
    assert str(parse_address("fe80::1%eth0")) == "fe80::1"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[network", "not TOML"),
        ("networks = 1", "networks: unknown key"),
        ("network = 1", "network: a list"),
        ("network = [1]", r"network\[0\]: a table"),
        ("[[network]]\nnetworks = ['10.0.0.0/33']", r"network\[0\]\.networks"),
        ("[[network]]\nuser = 'a'", r"network\[0\]\.networks: must be a list"),
        ("[[network]]\nnetworks = ['10.0.0.0/8']\nuser = 3", r"network\[0\]\.user: must be a string"),
        ("[[network]]\nnetworks = ['10.0.0.1', '10.0.0.1/32']", "listed twice"),
        ("groups = 1", "groups: a table"),
        ("[groups]\na = 'bob'", r"groups\.a: must be a list"),
    ],
)
def test_a_slip_is_named_by_its_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        parse_directory(text)


def test_json_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        parse_directory("[" * 100_000, is_json=True)
