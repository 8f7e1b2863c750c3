import pytest

from proxy_addon.activities.catalogue import load_catalogue
from proxy_addon.tls.do_not_decrypt import load_exceptions
from proxy_addon.tls.pass_through_setup import never_let_through
from shared.errors import ConfigError

CATALOGUE = load_catalogue()


def test_what_people_upload_to_is_always_decrypted() -> None:
    never = never_let_through(["app:*"], CATALOGUE)
    assert all(
        never(host) for host in ("drive.google.com", "www.googleapis.com", "files.slack.com", "graph.microsoft.com")
    )
    # Rules for whatever host somebody runs a program on would forbid every exception.
    assert not any(never(host) for host in ("pinned.example", "www.chase.com", "nobody.invalid"))


def test_no_listed_host_is_decrypted_because_of_the_catalogue() -> None:
    never = never_let_through(["app:*"], CATALOGUE)
    listed = load_exceptions(["banking", "health", "push", "updates"])
    hosts = [host.replace("*", "x") for category in listed.categories for host in category.hosts]
    assert [host for host in hosts if never(host)] == []


def test_one_application_and_hosts_of_the_operator() -> None:
    never = never_let_through(["app:slack", "*.corp.example"], CATALOGUE)
    assert never("files.slack.com")
    assert never("mail.corp.example")
    assert not never("drive.google.com")
    assert not never_let_through([], CATALOGUE)("files.slack.com")


def test_an_unknown_application_is_said() -> None:
    with pytest.raises(ConfigError, match="no application is named nonsense"):
        never_let_through(["app:nonsense"], CATALOGUE)
