"""Any text is policies or one PolicyError, in bounded time."""

from datetime import UTC, datetime
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from shared.core.policy import Policy, Selectors, applicable
from shared.core.policy_file import parse
from shared.core.policy_yaml import MAX_DEPTH
from shared.errors import PolicyError
from tests.factories import make_context, make_policy

NOON: Final = datetime(2027, 1, 31, 12, tzinfo=UTC)
VALID: Final = """policies:
- name: p
  when: {activities: [upload], hosts: ["*.example.com"], any: [{set: designs, min_score: 90}, {image: any}]}
  except: [{groups: [design], until: 2027-01-31, ticket: "SEC-12"}]
  then: {action: block, notify: [admin], severity: high}
  on_uninspected: {default: allow, timeout: block}
  deadline_ms: 1500
"""
YAML_TEXT: Final = st.text(alphabet=st.sampled_from(sorted(set(VALID + "&*!%|>?#-@`\\\"'~<\t\r\0\x85\u2028\ufeff"))))


def parse_or_refuse(text: str) -> tuple[Policy, ...] | None:
    outcome: tuple[Policy, ...] | PolicyError
    try:
        outcome = parse(text)
    except PolicyError as error:
        outcome = error
    if isinstance(outcome, tuple):
        return outcome
    assert outcome.where
    assert len(str(outcome)) < 500
    return None


@given(st.text() | YAML_TEXT)
def test_any_text_is_policies_or_a_policy_error(text: str) -> None:
    parse_or_refuse(text)


@given(st.integers(0, len(VALID)), st.integers(0, 12), YAML_TEXT)
def test_any_damage_is_policies_or_a_policy_error(position: int, gap: int, patch: str) -> None:
    parse_or_refuse(VALID[:position] + patch + VALID[position + gap :])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_in_a_policy_s_place_is_refused(value: object) -> None:
    assert parse_or_refuse(f"policies: [{value!r}]") in (None, ())


@given(st.integers(MAX_DEPTH, 400), st.sampled_from(["[", "{a: ", "- ", "? "]))
def test_any_depth_is_refused(depth: int, opening: str) -> None:
    assert parse_or_refuse(opening * depth) is None


@given(st.lists(st.text(alphabet="ab*", max_size=30), min_size=1), st.text(alphabet="ab.", max_size=200))
def test_patterns_meet_any_host(patterns: list[str], host: str) -> None:
    policy = make_policy(when=Selectors(hosts=tuple(patterns)))
    found = applicable([policy], make_context(host=host), NOON) == (policy,)
    assert found or "*" not in patterns
    assert found or host.rstrip(".") not in patterns
