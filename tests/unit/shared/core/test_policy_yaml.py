"""YAML within limits, and values that know where they stand."""

import pytest

from shared.core import policy_yaml
from shared.core.policy_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_NUMBER_LENGTH, Node, read_yaml
from shared.errors import PolicyError

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    return [plain(each) for each in node.value] if isinstance(node.value, tuple) else node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text", "text"),
        ("[1, -2, +3, 1.5, .5, 1e3]", [1, -2, 3, 1.5, 0.5, 1000.0]),
        (
            "['1', \"true\", yes, on, 2027-01-31, 0x10, 1_000, 1:20]",
            ["1", "true", "yes", "on", "2027-01-31", "0x10", "1_000", "1:20"],
        ),
        ("[true, False, null, ~, ]", [True, False, None, None]),
        ("a:\n- b: c\n  d: |\n    e\n    f\n", {"a": [{"b": "c", "d": "e\nf\n"}]}),
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": 1}, "c": {"b": 1}}),
        ("# only this\na: b # and that\n", {"a": "b"}),
        ("{}", {}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert plain(read_yaml(text)) == value


def test_every_value_knows_its_place() -> None:
    root = read_yaml("policies:\n- name: a\n  when:\n    any:\n    - {set: x}\n    - set: y\n")
    policy = root.mapping(["policies"])["policies"].items()[0]
    node = policy.mapping(["name", "when"])["when"].mapping(["any"])["any"].items()[1].mapping(["set"])["set"]
    assert (node.text(), node.where, node.line) == ("y", "policies[0].when.any[1].set", 6)


@pytest.mark.parametrize(
    ("text", "where", "line", "message"),
    [
        ("", "the file", None, "one YAML document, not 0"),
        ("a: 1\n---\nb: 1\n", "the file", None, "one YAML document, not 2"),
        ("a:\n  b: [\n", "the file", 3, "not valid YAML"),
        ("a: \x00", "the file", None, "characters that YAML does not allow"),
        ("a: 1\nb: *x", "the file", 2, "unknown alias 'x'"),
        ("a: 1\nb: &x [*x]", "the file", 2, "an alias contains itself"),
        ("a: !!python/object:os.system x", "the file", 1, "tags such as"),
        ("a: !set x", "the file", 1, "tags such as"),
        ("x: 1\n%YAML 1.9\n", "the file", 2, "directive"),
        ("a:\n  b: 1\n  b: 2\n", "a.b", 3, "written twice"),
        ("a:\n  1: b", "a", 2, "a key must be text"),
        ("? [a, b]\n: c", "the file", 1, "a key must be text"),
        ("[" * 5000, "the file", 1, f"more than {MAX_DEPTH} levels"),
        ("{a: " * 5000, "the file", 1, f"more than {MAX_DEPTH} levels"),
        ("- " * 5000, "the file", 1, f"more than {MAX_DEPTH} levels"),
        (LAUGHS, "the file", None, f"more than {MAX_NODES} values"),
        (f"a: {'9' * 5000}", "the file", 1, f"more than {MAX_NUMBER_LENGTH} characters"),
        ("é" * (MAX_BYTES // 2 + 1), "the file", None, f"more than {MAX_BYTES}"),
    ],
)
def test_refusals(text: str, where: str, line: int | None, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        read_yaml(text)
    assert raised.value.where == where
    assert message in str(raised.value)
    if line is not None:
        assert raised.value.line == line


def test_a_file_of_the_greatest_size_is_read() -> None:
    assert read_yaml("a" * MAX_BYTES).value == "a" * MAX_BYTES


@pytest.mark.parametrize(
    ("call", "text", "message"),
    [
        (lambda node: node.text(), "[a]", "must be text, not a list"),
        (lambda node: node.text(), "12", "must be text, not 12; put it in quotes"),
        (lambda node: node.text(), "true", "must be text, not true; put it in quotes"),
        (lambda node: node.text(), "~", "must be text, not nothing"),
        (lambda node: node.text(), "' '", "must not be empty"),
        (lambda node: node.items(), "a", "must be a list, not text"),
        (lambda node: node.items(), "[]", "must not be empty"),
        (lambda node: node.mapping(["a"]), "[]", "must hold keys and values, not a list"),
        (
            lambda node: node.mapping(["alpha", "beta"]),
            "{alfa: 1}",
            "unknown key 'alfa'; the nearest known one is 'alpha'",
        ),
        (lambda node: node.mapping([]), "{a: 1}", "unknown key 'a'; there are none"),
        (lambda node: node.number(0, 100), "true", "must be a number, not true"),
        (lambda node: node.number(0, 100), "'1'", "must be a number, not text"),
        (lambda node: node.number(0, 100), "100.5", "must be from 0 to 100"),
        (lambda node: node.number(0, 100), "1e999", "must be from 0 to 100"),
        (lambda node: node.choice(["a", "b"]), "c", "must be one of a, b, not 'c'"),
        (lambda node: node.choice(["a", "b"]), "{a: b}", "must be one of a, b, not keys and values"),
    ],
)
def test_readers_refuse_what_does_not_fit(call: object, text: str, message: str) -> None:
    assert callable(call)
    with pytest.raises(PolicyError, match="line 1") as raised:
        call(read_yaml(text))
    assert message in str(raised.value)


def test_an_error_message_stays_short() -> None:
    with pytest.raises(PolicyError) as raised:
        read_yaml(f"{'k' * 50_000}: 1").mapping(["name"])
    assert len(str(raised.value)) < 300
    assert policy_yaml.shown("x" * 1000) == repr("x" * 64)
