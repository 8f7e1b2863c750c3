import asyncio
import base64
import threading
from collections.abc import Mapping

import pytest

from proxy_addon.identity.authentication import REMEMBERED_SECONDS, WAITING_MOST, PasswordIdentifier, parse_basic
from proxy_addon.identity.identifiers import Asked, Challenge
from proxy_addon.identity.passwords import Passwords
from shared.telemetry import Metrics
from shared.types import Actor

NOBODY = Actor(ip="192.0.2.7")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Counting(Passwords):
    """Lets ``alice:sesame`` in, and counts how often it was asked; waits for ``gate``."""

    def __init__(self, hashes: Mapping[str, str] | None = None) -> None:
        super().__init__(hashes or {}, "")
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "gate", threading.Event())

    asked: list[str]
    gate: threading.Event

    def check(self, user: str, password: str) -> bool:
        self.gate.wait(10)
        self.asked.append(user)
        return (user, password) == ("alice", "sesame")


def identifier(
    passwords: Counting, clock: Clock | None = None, *, shut: bool = False
) -> tuple[PasswordIdentifier, Metrics]:
    if not shut:
        passwords.gate.set()
    metrics = Metrics()
    return PasswordIdentifier(lambda: passwords, "Corp", clock or Clock(), metrics), metrics


async def test_a_right_password_gives_the_user_and_is_remembered_for_a_while() -> None:
    passwords, clock = Counting(), Clock()
    subject, metrics = identifier(passwords, clock)
    asked = Asked(ip="192.0.2.7", credentials=basic("alice:sesame"))
    assert (await subject.identify(asked, NOBODY)).user == "alice"
    assert (await subject.identify(asked, NOBODY)).user == "alice"
    assert passwords.asked == ["alice"]
    clock.now += REMEMBERED_SECONDS
    assert (await subject.identify(asked, NOBODY)).user == "alice"
    assert passwords.asked == ["alice", "alice"]
    assert metrics.value("safelight_proxy_authentications_total", outcome="accepted") == 3


@pytest.mark.parametrize(
    "credentials", ["", "Bearer x", basic("alice:wrong"), basic("bob:sesame"), "Basic !", basic("alice")]
)
async def test_anything_else_is_challenged(credentials: str) -> None:
    subject, _ = identifier(Counting())
    with pytest.raises(Challenge) as challenge:
        await subject.identify(Asked(ip="192.0.2.7", credentials=credentials), NOBODY)
    assert challenge.value.header == 'Basic realm="Corp", charset="UTF-8"'


async def test_whom_the_directory_knows_needs_no_password_but_a_given_one_must_be_right() -> None:
    subject, _ = identifier(Counting())
    known = Actor(user="printer", ip="192.0.2.7")
    assert await subject.identify(Asked(ip="192.0.2.7"), known) == known
    with pytest.raises(Challenge):
        await subject.identify(Asked(ip="192.0.2.7", credentials=basic("alice:wrong")), known)


async def test_a_changed_file_forgets_who_was_right() -> None:
    first, second = Counting(), Counting()
    first.gate.set()
    second.gate.set()
    files = [first]
    subject = PasswordIdentifier(lambda: files[-1], "Corp", Clock(), Metrics())
    asked = Asked(ip="192.0.2.7", credentials=basic("alice:sesame"))
    await subject.identify(asked, NOBODY)
    files.append(second)
    await subject.identify(asked, NOBODY)
    assert (first.asked, second.asked) == (["alice"], ["alice"])


async def test_connections_that_come_together_share_one_check() -> None:
    passwords = Counting()
    subject, _ = identifier(passwords, shut=True)
    asked = Asked(ip="192.0.2.7", credentials=basic("alice:sesame"))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(subject.identify(asked, NOBODY)) for _ in range(6)]
        group.create_task(asyncio.to_thread(passwords.gate.set))
    assert {task.result().user for task in tasks} == {"alice"}
    assert passwords.asked == ["alice"]


async def test_a_flood_of_wrong_passwords_is_bounded() -> None:
    passwords = Counting()
    subject, metrics = identifier(passwords, shut=True)
    floods = [Asked(ip="192.0.2.7", credentials=basic(f"mallory:{number}")) for number in range(WAITING_MOST + 20)]

    async def refused(asked: Asked) -> bool:
        try:
            await subject.identify(asked, NOBODY)
        except Challenge:
            return True
        return False

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(refused(asked)) for asked in floods]
        group.create_task(asyncio.to_thread(passwords.gate.set))
    assert all(task.result() for task in tasks)
    assert len(passwords.asked) == WAITING_MOST
    assert metrics.value("safelight_proxy_authentications_total", outcome="overload") == 20


@pytest.mark.parametrize(
    ("header", "given"),
    [
        (basic("alice:open:sesame"), ("alice", "open:sesame")),
        ("bASIC  " + basic("alice:x").split()[1], ("alice", "x")),
        (basic("müller:geheimnis"), ("müller", "geheimnis")),
        (basic("alice:"), ("alice", "")),
        (basic(":x"), None),
        (basic("alice:a\0b"), None),
        ("Basic /////w==", None),
        ("Basic " + "A" * 2000, None),
        ("", None),
    ],
)
def test_basic_credentials(header: str, given: tuple[str, str] | None) -> None:
    assert parse_basic(header) == given
