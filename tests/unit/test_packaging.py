"""The locks say what was tested, serve any index, and are what is installed here."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ("cpu", "dev", "train")
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def text_of(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def entries(lock: str) -> list[str]:
    """One string a requirement: version, marker and hashes."""
    return re.split(r"\n(?=[a-z])", text_of(lock).replace("\\\n", " ").strip())


def requirements(lock: str) -> dict[str, Requirement]:
    """Those that apply to this interpreter, by normal name."""
    found = [Requirement(entry.split("--hash")[0].strip()) for entry in entries(lock)]
    return {normal(one.name): one for one in found if one.marker is None or one.marker.evaluate()}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_exact_and_hashed(lock: str) -> None:
    for entry in entries(lock):
        assert re.match(r"[a-z0-9._-]+==[^ ]+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("lock", [*LOCKS, "build"])
def test_no_host_and_no_path(lock: str) -> None:
    assert not re.search(r"://|--index|--find-links|--extra-index|file:|^/", text_of(lock), re.MULTILINE)


@pytest.mark.parametrize("lock", ["cpu", "dev"])
def test_torch_is_only_for_training(lock: str) -> None:
    assert not {"torch", "triton", "onnx"} & requirements(lock).keys()


def test_production_runs_what_was_tested() -> None:
    tested = requirements("dev")
    assert {name: one for name, one in requirements("cpu").items() if str(tested[name]) != str(one)} == {}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("cpu", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"]]),
        ("dev", PROJECT["optional-dependencies"]["dev"]),
        ("train", PROJECT["optional-dependencies"]["train"]),
    ],
)
def test_the_lock_answers_the_declared_ranges(lock: str, wanted: list[str]) -> None:
    locked = requirements(lock)
    for text in wanted:
        requirement = Requirement(text)
        (pin,) = locked[normal(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version), text


def test_this_interpreter_is_claimed() -> None:
    claimed = SpecifierSet(PROJECT["requires-python"])
    assert claimed.contains("{}.{}.{}".format(*sys.version_info[:3]))
    assert f"Programming Language :: Python :: {sys.version_info[0]}.{sys.version_info[1]}" in PROJECT["classifiers"]


def test_the_versions_installed_are_the_locked_ones() -> None:
    """pip takes an older mitmproxy without a word when its requirements meet others' half-way."""
    differing = {
        name: version(name)
        for name, one in requirements("cpu").items()
        if not one.specifier.contains(version(name), prereleases=True)
    }
    assert differing == {}
    assert version("mitmproxy") == "12.2.3"
