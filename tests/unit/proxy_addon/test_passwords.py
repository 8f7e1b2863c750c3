import base64
import hashlib

import bcrypt
import pytest

from proxy_addon.passwords import Passwords
from shared.errors import ConfigError


def by_bcrypt(password: bytes) -> str:
    # htpasswd writes the variant as $2y$, the library as $2b$: the same algorithm.
    return bcrypt.hashpw(password[:72], bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")


def by_sha(password: bytes) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest()).decode()


def test_both_hashes_and_comments_are_read() -> None:
    text = f"# proxy users\n\nalice:{by_bcrypt(b'open: sesame')}\nbob:{by_sha(b'secret')}:extra\n"
    passwords = Passwords.parse(text)
    assert passwords.check("alice", "open: sesame")
    assert passwords.check("bob", "secret")
    assert not passwords.check("alice", "secret")
    assert not passwords.check("bob", "Secret")
    assert not passwords.check("carol", "secret")
    assert not passwords.check("", "")


def test_the_hash_that_the_apache_documentation_shows() -> None:
    # https://httpd.apache.org/docs/2.4/misc/password_encryptions.html: "myPassword" as SHA-1
    assert Passwords.parse("myName:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=").check("myName", "myPassword")


def test_a_password_longer_than_bcrypt_sees_is_cut_as_htpasswd_cuts_it() -> None:
    passwords = Passwords.parse(f"alice:{by_bcrypt(b'x' * 72)}")
    assert passwords.check("alice", "x" * 100)
    assert not passwords.check("alice", "x" * 71)


def test_nobody_gets_in_where_the_file_is_empty() -> None:
    passwords = Passwords.parse("")
    assert not passwords.check("alice", "")


def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    hashed = by_bcrypt(b"secret")
    passwords = Passwords.parse(f"bob:{by_sha(b'secret')}\nalice:{hashed}")
    assert passwords.decoy == hashed
    assert not passwords.check("carol", "secret")


@pytest.mark.parametrize(
    "line",
    ["alice", "alice:", ":{SHA}x", "alice:$apr1$abc$def", "alice:plain", "alice:$2y$05$short", "a:$2y$99$" + "a" * 53],
)
def test_what_is_no_entry_is_named_by_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2.*htpasswd -B"):
        Passwords.parse(f"# users\n{line}\n")
