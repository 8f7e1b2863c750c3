import json
import plistlib
import re

import pytest

from console.services.endpoints import Route, distinct, mobileconfig, pac_file

ROUTE = Route(proxies=("proxy-1.example:8080", "[2001:db8::1]:8080"), direct=("*.Corp.example", 'a"b;\n'))
CA = b"a certificate in DER"


def test_proxies_stand_in_order_and_nothing_goes_around_them() -> None:
    text = pac_file(ROUTE)
    assert text.startswith("//")
    assert 'return "PROXY proxy-1.example:8080; PROXY [2001:db8::1]:8080";' in text
    assert text.count("{") == text.count("}")
    assert not re.search(r"PROXY[^\n]*DIRECT", text)


def test_what_fails_open_says_so() -> None:
    text = pac_file(Route(proxies=("p:1",), fail_open=True))
    assert 'return "PROXY p:1; DIRECT";' in text


def test_hosts_are_data_and_never_code() -> None:
    listed = re.search(r"var direct = (\[.*?\]);", pac_file(ROUTE), re.DOTALL)
    assert listed
    assert json.loads(listed[1]) == ["*.corp.example", 'a"b;\n']


def test_private_addresses_go_direct() -> None:
    text = pac_file(ROUTE)
    assert all(net in text for net in ("10.0.0.0", "172.16.0.0", "255.240.0.0", "192.168.0.0", "127.0.0.0"))
    assert "isPlainHostName(host)" in text


def test_a_profile_holds_the_ca_and_the_proxy() -> None:
    profile = plistlib.loads(mobileconfig(CA, ROUTE, organization="Corp"))
    certificate, proxy = profile["PayloadContent"]
    assert (profile["PayloadType"], profile["PayloadVersion"]) == ("Configuration", 1)
    assert (certificate["PayloadType"], certificate["PayloadContent"]) == ("com.apple.security.root", CA)
    assert proxy["PayloadType"] == "com.apple.proxy.http.global"
    assert (proxy["ProxyType"], proxy["ProxyServer"], proxy["ProxyServerPort"]) == ("Manual", "proxy-1.example", 8080)
    assert "Corp" in profile["PayloadDisplayName"]


@pytest.mark.parametrize("fail_open", [False, True])
def test_a_profile_may_name_a_pac_file(*, fail_open: bool) -> None:
    route = Route(proxies=("p:1",), fail_open=fail_open)
    proxy = plistlib.loads(mobileconfig(CA, route, pac_url="http://console.example/proxy.pac"))["PayloadContent"][1]
    assert (proxy["ProxyType"], proxy["ProxyPACURL"]) == ("Auto", "http://console.example/proxy.pac")
    assert proxy["ProxyPACFallbackAllowed"] is fail_open


def test_a_profile_that_is_made_again_replaces_the_installed_one() -> None:
    def identifiers(content: bytes) -> list[tuple[str, str]]:
        profile = plistlib.loads(content)
        return [(each["PayloadUUID"], each["PayloadIdentifier"]) for each in (profile, *profile["PayloadContent"])]

    first = identifiers(mobileconfig(CA, ROUTE))
    assert identifiers(mobileconfig(CA, Route(proxies=("other:1",)))) == first
    assert len({uuid for uuid, _ in first}) == 3
    assert identifiers(mobileconfig(b"another CA", ROUTE)) != first


def test_distinct() -> None:
    assert distinct(["b", "a", "b"]) == ("b", "a")
