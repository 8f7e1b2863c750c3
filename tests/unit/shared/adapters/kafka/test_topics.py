"""Topics are named as the contract has them, and each tenant's apart from all others."""

from dataclasses import astuple

from shared.adapters.kafka.topics import Topics


def test_the_topics_are_those_of_the_contract() -> None:
    assert astuple(Topics.of("")) == ("safelight.inspect", "safelight.verdicts", "safelight.alerts")


def test_no_tenant_s_topic_is_another_s() -> None:
    names = ["", "acme", "inspect", "alerts", "acme-inspect"]
    topics = [topic for name in names for topic in astuple(Topics.of(name))]
    assert len(set(topics)) == len(topics)
    assert Topics.of("acme").inspect == "safelight.acme.inspect"
