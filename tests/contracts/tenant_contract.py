"""Two tenants in one store see nothing of each other: inherit, and supply the fixture ``tenants``."""

from __future__ import annotations

from shared.errors import IntegrityError
from shared.ports import Store
from shared.sealing import Sealer

SECRET = bytes(32)
Tenants = tuple[Store, Store, Store]
"""Stores on one server: of the tenants ``acme`` and ``zeta``, and of a deployment without a tenant."""


class TenantContract:
    """Each test runs on an empty server."""

    async def test_the_same_names_are_each_tenant_s_own(self, tenants: Tenants) -> None:
        for number, store in enumerate(tenants):
            assert await store.compare_and_set("key", None, b"%d" % number) == 1
            await store.put_blob("blob", b"%d" % number)
            assert await store.append("log", [b"%d" % number] * (number + 1)) == number + 1
        for number, store in enumerate(tenants):
            held, taken = await store.get("key"), list[bytes]()
            assert held is not None
            assert held.value == await store.get_blob("blob") == b"%d" % number
            assert await store.read_blobs(["blob"], 1, lambda _, data, taken=taken: taken.append(bytes(data)))  # type: ignore[misc]
            assert taken == [b"%d" % number]
            assert [entry.value for entry in await store.read("log", 0, 9)] == [b"%d" % number] * (number + 1)
            assert await store.last_position("log") == number + 1

    async def test_what_one_deletes_the_others_keep(self, tenants: Tenants) -> None:
        first, *others = tenants
        for store in tenants:
            await store.compare_and_set("key", None, b"x")
            await store.put_blob("blob", b"x")
            await store.append("log", [b"x"])
        await first.delete("key")
        await first.delete_blob("blob")
        await first.truncate("log", 1)
        assert (await first.get("key"), await first.get_blob("blob"), await first.read("log", 0, 9)) == (None, None, ())
        for store in others:
            assert await store.get("key") is not None
            assert await store.get_blob("blob") == b"x"
            assert len(await store.read("log", 0, 9)) == 1

    async def test_an_entry_wakes_its_own_tenant_only(self, tenants: Tenants) -> None:
        acme, zeta, _ = tenants
        await acme.append("log", [b"x"])
        assert not await zeta.wait("log", 0, 0.2)
        assert await acme.wait("log", 0, 60)

    async def test_one_tenant_s_name_as_a_key_s_beginning_leads_nowhere(self, tenants: Tenants) -> None:
        acme, zeta, alone = tenants
        await acme.compare_and_set("zeta/key", None, b"acme's")
        await alone.compare_and_set("acme/key", None, b"nobody's")
        assert await zeta.get("key") is await acme.get("key") is None

    async def test_what_was_copied_from_one_to_the_other_does_not_open(self, tenants: Tenants) -> None:
        acme, zeta, _ = tenants
        await acme.put_blob("blob", Sealer(SECRET, "acme").seal(b"picture", "blob"))
        copied = await acme.get_blob("blob")
        assert copied is not None
        await zeta.put_blob("blob", copied)
        refused = 0
        for sealer in (Sealer(SECRET, "zeta"), Sealer(SECRET)):
            try:
                sealer.open(await zeta.get_blob("blob") or b"", "blob")
            except IntegrityError:
                refused += 1
        assert refused == 2
