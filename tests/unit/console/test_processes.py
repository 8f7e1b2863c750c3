"""Which processes run, and how several proxies come to one port."""

import socket
from pathlib import Path

import pytest

from console.processes import Proxies, RoleProcess, other_processes, process_name
from shared.config import ProxySettings, Settings
from shared.errors import ConfigError


def make_settings(tmp_path: Path, **proxy: object) -> Settings:
    return Settings(data_dir=tmp_path, proxy=ProxySettings(**proxy))  # type: ignore[arg-type]


def test_one_proxy_listens_as_it_is_told(tmp_path: Path) -> None:
    assert Proxies(make_settings(tmp_path)).open() == (RoleProcess(name="proxy", role="proxy"),)


def test_several_share_a_port_that_is_kept_for_them(tmp_path: Path) -> None:
    proxies = Proxies(make_settings(tmp_path, processes=3, instance=4, listen="127.0.0.1:0"))
    processes = proxies.open()
    assert [process.name for process in processes] == ["proxy-4", "proxy-5", "proxy-6"]
    assert [process.environment["SAFELIGHT_PROXY__INSTANCE"] for process in processes] == ["4", "5", "6"]
    (listen,) = {process.environment["SAFELIGHT_PROXY__LISTEN"] for process in processes}
    address = ("127.0.0.1", int(listen.rpartition(":")[2]))
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(address)
    with socket.socket() as one_of_them:
        one_of_them.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one_of_them.bind(address)
    proxies.close()
    proxies.close()
    with socket.socket() as later:
        later.bind(address)


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"proxy\.listen"):
            Proxies(make_settings(tmp_path, processes=2, listen=listen)).open()


def test_a_process_is_named_by_its_instance_where_it_shares_the_port(tmp_path: Path) -> None:
    assert process_name("proxy", make_settings(tmp_path)) == "proxy"
    assert process_name("proxy", make_settings(tmp_path, shared_port=True, instance=2)) == "proxy-2"
    assert process_name("worker", make_settings(tmp_path, shared_port=True)) == "worker"


def test_every_role_has_its_time_to_stop() -> None:
    assert [process.role for process in other_processes()] == ["worker", "alerts", "console"]
    assert (
        RoleProcess(name="proxy-0", role="proxy").stop_seconds
        + max(process.stop_seconds for process in other_processes())
        < 10
    )
