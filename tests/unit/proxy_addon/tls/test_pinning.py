from proxy_addon.tls.pinning import HOSTS_PER_CLIENT, TRACKED_MOST, Limits, PinnedClients, Step

LIMITS = Limits(failures=3, window=60.0, duration=600.0)
CLIENT, HOST = "192.0.2.7", "pinned.example"


def fail(pinned: PinnedClients, *times: float, client: str = CLIENT, host: str = HOST) -> list[Step]:
    return [pinned.failed(client, host, now) for now in times]


def test_failures_in_a_row_let_one_client_through_to_one_host_for_a_while() -> None:
    pinned = PinnedClients(LIMITS)
    assert fail(pinned, 0.0, 10.0, 20.0) == [Step.COUNTED, Step.COUNTED, Step.LET_THROUGH]
    assert pinned.passes(CLIENT, HOST, 619.9)
    assert not pinned.passes(CLIENT, HOST, 620.0)
    assert not pinned.passes(CLIENT, "other.example", 21.0)
    assert not pinned.passes("192.0.2.8", HOST, 21.0)
    assert fail(pinned, 700.0, 701.0, 702.0)[-1] is Step.LET_THROUGH


def test_failures_that_lie_apart_do_not_count() -> None:
    assert set(fail(PinnedClients(LIMITS), 0.0, 40.0, 80.0, 120.0)) == {Step.COUNTED}


def test_a_client_that_trusts_us_in_between_begins_anew() -> None:
    pinned = PinnedClients(LIMITS)
    fail(pinned, 0.0, 1.0)
    pinned.worked(CLIENT, HOST)
    assert set(fail(pinned, 2.0, 3.0)) == {Step.COUNTED}


def test_never_is_never() -> None:
    assert set(fail(PinnedClients(Limits(failures=0, window=60.0, duration=600.0)), *map(float, range(50)))) == {
        Step.COUNTED
    }


def test_a_client_that_fails_everywhere_is_not_enrolled() -> None:
    pinned = PinnedClients(LIMITS)
    hosts = [f"h{number}.example" for number in range(HOSTS_PER_CLIENT + 1)]
    ends = [fail(pinned, 0.0, 1.0, 2.0, host=host)[-1] for host in hosts]
    assert ends == [Step.LET_THROUGH] * HOSTS_PER_CLIENT + [Step.NOT_ENROLLED]
    assert not pinned.passes(CLIENT, hosts[-1], 3.0)
    assert fail(pinned, 700.0, 701.0, 702.0, host=hosts[-1])[-1] is Step.LET_THROUGH


def test_what_is_remembered_is_bounded() -> None:
    pinned = PinnedClients(LIMITS)
    fail(pinned, 0.0, 1.0)
    for number in range(TRACKED_MOST):
        pinned.failed("198.51.100.1", f"h{number}.example", 1.0)
    assert fail(pinned, 2.0) == [Step.COUNTED]
