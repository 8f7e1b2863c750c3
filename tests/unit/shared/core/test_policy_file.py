"""The policy file: what it may say, and what is said where it is wrong."""

from datetime import date

import pytest

from shared.core.policy import DEFAULT_PASS_MINUTES, Exemption, OnUninspected, Selectors
from shared.core.policy_conditions import (
    HashListCondition,
    ImageCondition,
    ImageConditions,
    LabelCondition,
    SetCondition,
)
from shared.core.policy_file import (
    MAX_POLICIES,
    KnownNames,
    PolicyDocument,
    notes,
    pack_document,
    parse,
    unpack_document,
)
from shared.errors import PolicyError, WireError
from shared.types import Account, Action, Activity, Direction, Mode, Obscuring, Severity, UninspectedReason
from tests.factories import make_policy

KNOWN = KnownNames(
    sets=frozenset({"designs", "faces"}),
    apps=frozenset({"google-drive", "slack"}),
    tags=frozenset({"unsanctioned"}),
    classifiers=frozenset({"documents"}),
    hash_lists=frozenset({"partner-x"}),
)

FULL = """
policies:
  - name: no-design-leaves
    when:
      activities: [upload, share, move_outside]
      direction: [outbound]
      apps: [google-drive, "tag:unsanctioned"]
      hosts: ["*.example.com"]
      accounts: [personal]
      users: ["*"]
      groups: ["*"]
      devices: ["*"]
      any:
        - set: designs
        - {set: faces, min_score: 90, relation: any}
        - label: {classifier: documents, is: passport}
        - hash_list: partner-x
      all:
        - image: any
      none:
        - label: {classifier: documents, is: other}
    except:
      - {groups: [design], hosts: ["vendor.example"], until: 2027-01-31, ticket: "SEC-12"}
    then: {action: block, notify: [admin, user], severity: high}
    mode: monitor
    on_uninspected: {default: allow, timeout: allow, encrypted: block, opaque: allow, too_large: allow,
      undecodable: allow, unknown_object: allow}
    deadline_ms: 2000
    near_cache: true
"""


def one(body: str) -> str:
    """Return a file with one policy that has these lines besides its name and action."""
    return f"policies:\n- name: p\n  then: {{action: block}}\n{body}"


def test_everything_the_language_has() -> None:
    (policy,) = parse(FULL, KNOWN)
    assert (policy.name, policy.action, policy.mode, policy.severity) == (
        "no-design-leaves",
        Action.BLOCK,
        Mode.MONITOR,
        Severity.HIGH,
    )
    assert policy.when == Selectors(
        activities=frozenset({Activity.UPLOAD, Activity.SHARE, Activity.MOVE_OUTSIDE}),
        direction=frozenset({Direction.OUTBOUND}),
        accounts=frozenset({Account.PERSONAL}),
        apps=("google-drive", "tag:unsanctioned"),
        hosts=("*.example.com",),
        users=("*",),
        groups=("*",),
        devices=("*",),
    )
    assert policy.images == ImageConditions(
        any=(
            SetCondition(set="designs"),
            SetCondition(set="faces", min_score=90, relation="any"),
            LabelCondition(classifier="documents", label="passport"),
            HashListCondition(list="partner-x"),
        ),
        all=(ImageCondition(),),
        none=(LabelCondition(classifier="documents", label="other"),),
    )
    assert policy.exemptions == (
        Exemption(
            selectors=Selectors(groups=("design",), hosts=("vendor.example",)), until=date(2027, 1, 31), ticket="SEC-12"
        ),
    )
    assert (policy.notify, policy.deadline_ms, policy.near_cache) == (("admin", "user"), 2000, True)
    actions = {reason: policy.on_uninspected.action(reason) for reason in UninspectedReason}
    assert [reason for reason, action in actions.items() if action is Action.BLOCK] == [UninspectedReason.ENCRYPTED]


def test_defaults() -> None:
    (policy,) = parse("policies: [{name: p, then: {action: block}}]", KNOWN)
    assert policy == make_policy(name="p", images=None)
    assert (policy.deadline_ms, policy.mode, policy.notify, policy.severity) == (
        1500,
        Mode.ENFORCE,
        ("admin",),
        Severity.MEDIUM,
    )
    assert {policy.on_uninspected.action(reason) for reason in UninspectedReason} == {Action.ALLOW}


def test_on_uninspected_in_one_word() -> None:
    (policy,) = parse(one("  on_uninspected: block"))
    assert policy.on_uninspected == OnUninspected(default=Action.BLOCK)


def test_a_list_without_policies() -> None:
    assert parse("policies: []") == ()


@pytest.mark.parametrize("action", list(Action))
def test_every_action_parses(action: Action) -> None:
    (policy,) = parse(f"policies: [{{name: p, then: {{action: {action}}}}}]")
    assert policy.action is action


@pytest.mark.parametrize(
    ("text", "where", "line", "message"),
    [
        ("", "the file", None, "one YAML document"),
        ("~", "the file", 1, "must hold the key 'policies'"),
        ("[]", "the file", 1, "must hold the key 'policies'"),
        ("{}", "policies", 1, "is missing"),
        ("policy: []", "policy", 1, "unknown key 'policy'; the nearest known one is 'policies'"),
        ("policies:", "policies", 1, "must be a list, not nothing"),
        ("policies: [a]", "policies[0]", 1, "must hold keys and values, not text"),
        ("policies:\n- then: {action: block}", "policies[0].name", 2, "is missing"),
        ("policies:\n- name: p", "policies[0].then", 2, "is missing"),
        ("policies:\n- name: p\n  then: {}", "policies[0].then.action", 3, "is missing"),
        ("policies:\n- name: ''\n  then: {action: block}", "policies[0].name", 2, "must not be empty"),
        ("policies:\n- name: ' p'\n  then: {action: block}", "policies[0].name", 2, "printable characters"),
        ('policies:\n- name: "a\\nb"\n  then: {action: block}', "policies[0].name", 2, "printable characters"),
        (f"policies:\n- name: {'n' * 101}\n  then: {{action: block}}", "policies[0].name", 2, "1 to 100"),
        ("policies:\n- name: 12\n  then: {action: block}", "policies[0].name", 2, "put it in quotes"),
        (
            "policies:\n- name: p\n  then: {action: block}\n- then: {action: allow}\n  name: p",
            "policies[1].name",
            5,
            "the name 'p' is taken by policies[0]",
        ),
        ("policies:\n- name: p\n  then: {action: deny}", "policies[0].then.action", 3, "must be one of allow, coach,"),
        ("policies:\n- name: p\n  then: block", "policies[0].then", 3, "must hold keys and values, not text"),
        (one("  mode: enforced"), "policies[0].mode", 4, "must be one of enforce, monitor, not 'enforced'"),
        (one("  modes: enforce"), "policies[0].modes", 4, "the nearest known one is 'mode'"),
        (one("  near_cache: 1"), "policies[0].near_cache", 4, "must be true or false, not 1"),
        (one("  deadline_ms: 10"), "policies[0].deadline_ms", 4, "must be from 50 to 300000"),
        (one("  deadline_ms: 99.5"), "policies[0].deadline_ms", 4, "whole number"),
        (one("  deadline_ms: '100'"), "policies[0].deadline_ms", 4, "must be a number, not text"),
        (one("  on_uninspected: redact"), "policies[0].on_uninspected", 4, "must be one of allow, block"),
        (one("  on_uninspected: {late: block}"), "policies[0].on_uninspected.late", 4, "unknown key 'late'"),
        (
            one("  on_uninspected: {over_budget: block}"),
            "policies[0].on_uninspected.over_budget",
            4,
            "unknown key 'over_budget'; the nearest known one is 'decode_budget'",
        ),
        (one("  on_uninspected: {timeout: coach}"), "policies[0].on_uninspected.timeout", 4, "one of allow, block"),
        (one("  when: {activities: upload}"), "policies[0].when.activities", 4, "must be a list, not text"),
        (one("  when: {activities: []}"), "policies[0].when.activities", 4, "must not be empty"),
        (one("  when: {activities: [uplod]}"), "policies[0].when.activities[0]", 4, "must be one of upload, download,"),
        (one("  when: {direction: [out]}"), "policies[0].when.direction[0]", 4, "must be one of outbound, inbound"),
        (one("  when: {accounts: [mine]}"), "policies[0].when.accounts[0]", 4, "must be one of personal, company"),
        (one("  when: {user: ['*']}"), "policies[0].when.user", 4, "the nearest known one is 'users'"),
        (one("  when: {hosts: ['https://a.example/']}"), "policies[0].when.hosts[0]", 4, "without scheme"),
        (one("  when: {hosts: ['a.example:443']}"), "policies[0].when.hosts[0]", 4, "without scheme"),
        (
            one("  when: {apps: [gogle-drive]}"),
            "policies[0].when.apps[0]",
            4,
            "unknown app 'gogle-drive'; the nearest known one is 'google-drive'",
        ),
        (
            one("  when: {apps: ['tag:sanctioned']}"),
            "policies[0].when.apps[0]",
            4,
            "unknown tag 'sanctioned'; the nearest known one is 'unsanctioned'",
        ),
        (
            one("  when:\n    any:\n    - image: any\n    - set: design\n"),
            "policies[0].when.any[1].set",
            7,
            "unknown set 'design'; the nearest known one is 'designs'",
        ),
        (
            one("  when: {none: [{hash_list: partner-y}]}"),
            "policies[0].when.none[0].hash_list",
            4,
            "unknown hash list 'partner-y'",
        ),
        (
            one("  when: {any: [{label: {classifier: docs, is: a}}]}"),
            "policies[0].when.any[0].label.classifier",
            4,
            "unknown classifier 'docs'",
        ),
        (one("  when: {any: [{label: {classifier: documents}}]}"), "policies[0].when.any[0].label.is", 4, "is missing"),
        (
            one("  when: {any: [{feature: {name: similar_97_1d_device, at_least: 3}}]}"),
            "policies[0].when.any[0].feature",
            4,
            "counting how often an image was seen is not available in this version",
        ),
        (one("  when: {any: []}"), "policies[0].when.any", 4, "must not be empty"),
        (one("  when: {any: [{}]}"), "policies[0].when.any[0]", 4, "exactly one of set, label"),
        (one("  when: {any: [{set: designs, image: any}]}"), "policies[0].when.any[0]", 4, "exactly one of set, label"),
        (one("  when: {any: [{image: any, min_score: 3}]}"), "policies[0].when.any[0].min_score", 4, "unknown key"),
        (one("  when: {any: [{image: jpeg}]}"), "policies[0].when.any[0].image", 4, "must be one of any"),
        (
            one("  when: {any: [{set: designs, min_score: 101}]}"),
            "policies[0].when.any[0].min_score",
            4,
            "from 0 to 100",
        ),
        (
            one("  when: {any: [{set: designs, relation: similar}]}"),
            "policies[0].when.any[0].relation",
            4,
            "one of any, copy, same_layout",
        ),
        (one("  except: [{until: 2027-01-31}]"), "policies[0].except[0]", 4, "would exempt every transfer"),
        (one("  except: [{groups: [a], until: 2027-02-30}]"), "policies[0].except[0].until", 4, "a date such as"),
        (one("  except: [{groups: [a], until: 20270131}]"), "policies[0].except[0].until", 4, "a date such as"),
        (one("  except: [{groups: [a], until: 2027-W05-7}]"), "policies[0].except[0].until", 4, "a date such as"),
        (one("  except: [{groups: [a], set: designs}]"), "policies[0].except[0].set", 4, "unknown key 'set'"),
        (
            "policies:\n- name: p\n  then: {action: block, notify: [boss]}",
            "policies[0].then.notify[0]",
            3,
            "one of admin, user",
        ),
        (
            "policies:\n- name: p\n  then: {action: block, severity: urgent}",
            "policies[0].then.severity",
            3,
            "one of informational, low",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, where: str, line: int | None, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse(text, KNOWN)
    assert (raised.value.where, raised.value.line) == (where, line)
    assert message in str(raised.value)


def test_names_of_what_there_is_none() -> None:
    with pytest.raises(PolicyError, match="unknown set 'designs'; there are none"):
        parse(one("  when: {any: [{set: designs}]}"), KnownNames())


def test_a_label_is_one_that_the_classifier_has_where_its_labels_are_known() -> None:
    known = KnownNames(classifiers=frozenset({"documents", "scenes"}), labels={"scenes": frozenset({"beach", "attic"})})
    asks = "  when: {any: [{label: {classifier: %s, is: %s}}]}"
    for classifier, label in (("scenes", "beach"), ("scenes", "other"), ("documents", "whatever")):
        assert parse(one(asks % (classifier, label)), known)
    assert parse(one(asks % ("scenes", "bech")))
    with pytest.raises(PolicyError, match=r"scenes has no label 'bech'; .*beach") as raised:
        parse(one(asks % ("scenes", "bech")), known)
    assert raised.value.where == "policies[0].when.any[0].label.is"


def test_names_are_not_looked_up_without_a_list() -> None:
    assert len(parse(FULL)) == 1


def test_too_many_policies() -> None:
    entry = "- {name: p%d, then: {action: allow}}\n"
    assert len(parse("policies:\n" + "".join(entry % index for index in range(MAX_POLICIES)))) == MAX_POLICIES
    with pytest.raises(PolicyError, match=f"more than {MAX_POLICIES}"):
        parse("policies:\n" + "".join(entry % index for index in range(MAX_POLICIES + 1)))


def test_notes_say_what_happens_otherwise_than_written() -> None:
    policies = [make_policy(name=str(action), action=action) for action in Action]
    assert notes(policies) == (
        "policy 'tag': tag is for scans of hosted stores; it never acts on a transfer",
        "policy 'quarantine': quarantine is for scans of hosted stores; it never acts on a transfer",
        "policy 'delete': delete is for scans of hosted stores; it never acts on a transfer",
    )


def test_documents_come_back_from_the_store() -> None:
    document = PolicyDocument(text=FULL, applied_at=1_800_000_000.5)
    assert unpack_document(pack_document(document)) == document


def test_redaction_without_images_is_said_to_block() -> None:
    (note,) = notes([make_policy(name="p", action=Action.REDACT, images=None)])
    assert note.startswith("policy 'p': redact without any, all or none blocks")


def test_what_coaching_and_redaction_take() -> None:
    coach, redact, plain = parse(
        "policies:\n"
        "- {name: a, then: {action: coach, pass_minutes: 5}}\n"
        "- {name: b, when: {any: [{image: any}]}, then: {action: redact, redact: {how: blur}}}\n"
        "- {name: c, then: {action: coach}}\n"
    )
    assert (coach.pass_minutes, redact.redact_how, plain.pass_minutes) == (5, Obscuring.BLUR, DEFAULT_PASS_MINUTES)


@pytest.mark.parametrize(
    ("then", "where", "message"),
    [
        ("action: block, pass_minutes: 5", "pass_minutes", "goes with action: coach only"),
        ("action: coach, pass_minutes: 0", "pass_minutes", "1"),
        ("action: coach, pass_minutes: 1.5", "pass_minutes", "whole number of minutes"),
        ("action: coach, redact: {how: box}", "redact", "goes with action: redact only"),
        ("action: redact, redact: {how: mosaic}", "redact.how", "box"),
        ("action: redact, redact: {}", "redact.how", "is missing"),
    ],
)
def test_what_coaching_and_redaction_do_not_take(then: str, where: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as refused:
        parse(f"policies: [{{name: p, then: {{{then}}}}}]")
    assert refused.value.where == f"policies[0].then.{where}"


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"text": "", "applied_at": "x"}', b"[" * 100_000])
def test_stored_values_that_are_no_document(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack_document(data)
