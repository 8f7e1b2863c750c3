import socket
from pathlib import Path
from typing import Any

import pytest

from console.endpoint_route import endpoint_route
from shared.adapters.run_files import RunFile
from shared.config import Settings


def make(folder: Path, **sections: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, **sections})


def test_without_a_word_it_is_where_the_proxy_listens(tmp_path: Path) -> None:
    settings = make(tmp_path, proxy={"listen": "127.0.0.1:0"})
    RunFile(settings.run_dir, "proxy").announce("proxy", "127.0.0.1:43210")
    assert endpoint_route(settings).proxies == ("127.0.0.1:43210",)


@pytest.mark.parametrize("everywhere", ["0.0.0.0:8080", "[::]:8080"])
def test_a_proxy_that_listens_everywhere_is_named(tmp_path: Path, everywhere: str) -> None:
    settings = make(tmp_path, proxy={"listen": everywhere})
    assert endpoint_route(settings).proxies == (f"{socket.getfqdn()}:8080",)


def test_what_is_configured_and_what_is_asked_for(tmp_path: Path) -> None:
    settings = make(tmp_path, endpoint={"proxies": "a:1,b:2", "direct": ["intranet.example"], "fail_open": True})
    route = endpoint_route(settings)
    assert route.proxies == ("a:1", "b:2")
    assert route.fail_open
    assert route.direct[0] == "intranet.example"
    assert "*.windowsupdate.com" in route.direct
    assert endpoint_route(settings, ["c:3"]).proxies == ("c:3",)


def test_updates_go_direct_only_where_they_are_not_decrypted(tmp_path: Path) -> None:
    settings = make(tmp_path, pass_through={"do_not_decrypt": ["banking"]})
    assert endpoint_route(settings).direct == ()
    assert endpoint_route(settings, fail_open=True).fail_open
