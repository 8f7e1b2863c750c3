"""Workers that died without a word are taken out of their group by the next one that starts on their machine.

A broker gives a killed member's partitions to others when its session has ended: 6 s, brokers' default minimum, in
which whoever asks about an image of theirs waits for nobody.  The machine knows better: a process that was killed has
ended.  So a member's client id says which process it is, and whoever starts beside dead ones signs them off, as they
would have done themselves.  In Java's clients static membership does this for a member that comes back; aiokafka has
no more than its beginnings (aiokafka#680).

A worker on a machine that is gone is missed as before, by its session.  Shorter ones a broker refuses
(``group.min.session.timeout.ms``, 6000 by default: kafka.apache.org/documentation/#brokerconfigs) until it is told
otherwise, and a question that were put again would have the same key, so the same partition and nobody who answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
from dataclasses import replace
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.group import LeaveGroupRequest

from shared.adapters.kafka.calls import bounded, closed
from shared.adapters.kafka.settings import client_settings, group_settings
from shared.adapters.lease import Holder, this_process
from shared.config import Settings
from shared.errors import BusError

SIGN_OFF_TIMEOUT: Final = 2.0
CLOSE_TIMEOUT: Final = 1.0
POLL_SECONDS: Final = 0.05
NOT_YET: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
_MEMBER: Final = re.compile(r"safelight-worker-([0-9a-f]{16})-([0-9]{1,9})-([0-9]{1,19})-[0-9a-f]{8}", re.ASCII)
_logger = logging.getLogger(__name__)


def member_client_id() -> str:
    """Return a new client id that says which process this is, of which machine (or container)."""
    me = this_process()
    return f"safelight-worker-{_machine(me)}-{me.pid}-{me.started}-{secrets.token_hex(4)}"


def is_dead(client_id: str) -> bool:
    """Tell whether a member was a process of this machine that has ended; False where that cannot be known."""
    found = _MEMBER.fullmatch(client_id)
    me = this_process()
    if found is None or found[1] != _machine(me):
        return False
    return replace(me, pid=int(found[2]), started=int(found[3])).is_dead()


def member_settings(settings: Settings, client_id: str) -> dict[str, Any]:
    """Return a worker's consumer's arguments; a client id that was configured stays, for quotas may go by it."""
    named = {} if "client.id" in settings.kafka else {"client_id": client_id}
    return {**group_settings(settings), **named}


async def sign_off_dead(settings: Settings, former: str | None = None) -> int:
    """Take the dead of this machine out of the workers' group; return how many.

    ``former`` is the client id of who asks, where it was a member and is none any more: clients that are made anew
    after an outage would wait for their own former session.  Whatever goes wrong is logged and no more: without this
    a session ends as well, a few seconds later.
    """
    admin = AIOKafkaAdminClient(**client_settings(settings))
    group = group_settings(settings)["group_id"]
    try:
        signed_off = await bounded(
            _sign_off(admin, group, former), SIGN_OFF_TIMEOUT, "Kafka did not say who is in a group"
        )
    except BusError as error:
        _logger.warning("%s; what dead workers had is given out when their sessions end", error)
        return 0
    finally:
        await closed(admin.close(), CLOSE_TIMEOUT, "Kafka's admin client")
    if signed_off:
        _logger.info("%d member(s) of group %s that have ended were signed off", signed_off, group)
    return signed_off


async def _sign_off(admin: AIOKafkaAdminClient, group: str, former: str | None) -> int:
    await admin.start()
    while True:
        try:
            return await _sign_off_now(admin, group, former)
        except NOT_YET:
            if former is None:
                return 0  # a cluster that has had no group yet
            await asyncio.sleep(POLL_SECONDS)  # one that has just started, and reads what groups it had


async def _sign_off_now(admin: AIOKafkaAdminClient, group: str, former: str | None) -> int:
    coordinator = await admin.find_coordinator(group)
    (described,) = await admin.describe_consumer_groups([group], coordinator)
    # Of a group: error, name, state, protocol type, protocol, members; of a member: its id, its client's id, more.
    (found,) = described.groups
    if found[0]:
        raise for_code(found[0])
    dead = [member[0] for member in found[5] if member[1] == former or is_dead(member[1])]
    # The admin client has no call for it, only the protocol has.
    version = admin._matching_api_version(LeaveGroupRequest)  # noqa: SLF001
    for member_id in dead:
        await admin._send_request(LeaveGroupRequest[version](group, member_id), coordinator)  # noqa: SLF001
    return len(dead)


def _machine(holder: Holder) -> str:
    return hashlib.sha256(f"{holder.boot} {holder.pid_namespace}".encode()).hexdigest()[:16]
