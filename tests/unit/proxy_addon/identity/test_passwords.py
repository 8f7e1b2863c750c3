import base64
import hashlib

import bcrypt
import pytest

from proxy_addon.identity.passwords import Passwords
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


@pytest.mark.parametrize(
    ("hashed", "password"),
    [
        # As `openssl passwd -apr1` writes them; the first also stands in Apache's documentation.
        ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "myPassword"),
        ("$apr1$xxxxxxxx$RKMOWWMKN4Ts9r6E5noqv0", "myPassword"),
        ("$apr1$a$mFgJNeIN2fSZggd8Pzxms0", "open: sesame and more than sixteen bytes"),
        ("$apr1$12345678$sHuPAw7VA9xjRbJz7zKV7/", ""),
    ],
)
def test_what_htpasswd_writes_by_default_is_read(hashed: str, password: str) -> None:
    passwords = Passwords.parse(f"alice:{hashed}")
    assert passwords.check("alice", password)
    assert not passwords.check("alice", f"{password}x")
    assert not passwords.check("alice", f"x{password}")
    assert not passwords.check("bob", password)


def test_a_password_too_long_for_htpasswd_is_nobody_s() -> None:
    # openssl passwd -apr1 -salt long "$(printf 'x%.0s' $(seq 255))"
    passwords = Passwords.parse("alice:$apr1$long$ZpfhE/W/KXTxlbpUNszOa/")
    assert passwords.check("alice", "x" * 255)
    assert not passwords.check("alice", "x" * 256)


def test_the_dearest_hash_is_the_decoy() -> None:
    md5, sha, dear = "$apr1$a$mFgJNeIN2fSZggd8Pzxms0", by_sha(b"secret"), by_bcrypt(b"secret")
    assert Passwords.parse(f"a:{sha}\nb:{md5}").decoy == md5
    assert Passwords.parse(f"a:{dear}\nb:{md5}\nc:{sha}").decoy == dear
    assert not Passwords.parse(f"a:{sha}").check("nobody", "secret")


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
