"""What stands against a row, and what only looks like it."""

from __future__ import annotations

import pytest

from oracle.datanets.checks import Checker
from oracle.datanets.kinds import Kind
from oracle.datanets.policy import BadPolicy, Policy, read_policy
from oracle.datanets.verdicts import CODES, NUMBER, Verdict

FILLER = "this row only stands here so that the other one is not alone"


def finding(text: str, policy: Policy | None = None) -> str | None:
    found, _ = Checker(policy or Policy(), Kind.TRAINING_ROW).alone([FILLER, text, FILLER])
    assert found.keys() <= {1}
    return found[1].code if 1 in found else None


@pytest.mark.parametrize(
    "text",
    [
        "aws_access_key_id is AKIAQ3EGRZ7M2KXPWLVB as you can see",
        "the token ghp_k3Jd8fQz1LmN5vXc7RtY2wBp9HsG4aUe6ToI works",
        "use sk-ant-api03-Kd83jfLqPz72mNbVcXw1RtYu for the assistant",
        "the webhook xoxb-2748593016-8Hq3kLmZpW4t is ours",
        "export PASSWORD='gX7$kq92Lm!z' before you start",
        "clone https://anna:Zk3vQ9pLw2@git.corp.de/repo.git and build",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MjcxOTg4In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r is the session",
    ],
)
def test_check__of_a_secret__then_it_is_rejected(text: str) -> None:
    assert finding(text) == "secret"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq9Zk3Kf2w8Qd0m5yT1xJhGvL4nRcS6pUoEiYb\n and so on",
        "my private key: 0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318 keep it",
    ],
)
def test_check__of_a_private_key__then_it_is_rejected(text: str) -> None:
    assert finding(text) == "private_key"


@pytest.mark.parametrize(
    "text",
    [
        "set AKIAIOSFODNN7EXAMPLE as your key in the example",
        "password = os.environ['DB_PASSWORD'] reads it from outside",
        "export API_KEY=YOUR_API_KEY_HERE before you start the server",
        "a git commit is named a94a8fe5ccb19ba61c4c0873d391e987982fbbd3 by its content",
        "the secret of a good soup is time, salt and patience",
        "-----BEGIN RSA PRIVATE KEY----- is how such a file begins",
        "connect with postgres://user:password@localhost/db in the tutorial",
    ],
)
def test_check__of_what_only_looks_like_a_secret__then_it_passes(text: str) -> None:
    assert finding(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "please write to anna.lindqvist@gmail.com about it",
        "call me at +49 170 1234567 tonight if you can",
        "my phone number is 0171 2345678 if anything comes up",
        "reach us at (415) 867-5309 during the day",
        "pay to DE44 5001 0517 5407 3249 31 until Friday",
        "my card is 4539 1488 0343 6467 and it works",
        "her social security number was 536-22-8712 back then",
        "the attacker came from 93.184.216.34 last night",
        "it answers at 2a03:2880:f12f:83:face:b00c:0:25de as well",
    ],
)
def test_check__of_personal_data__then_it_does_not_pass(text: str) -> None:
    assert finding(text) == "personal_data"


@pytest.mark.parametrize(
    "text",
    [
        "write to someone@example.com or to info@company.com for help",
        "the file was created at 1755302400 and changed at 1755302499",
        "update to version 1.2.3.4 or to release 10.20.30.40 now",
        "the router listens on 192.168.1.1 and on 127.0.0.1 as always",
        "the order number is 4539148803436468 for this parcel",
        "part 123-45-6789 is out of stock until the summer",
        "test with 4242 4242 4242 4242 as the manual says",
        "pi is 3.14159265358979 and e is 2.71828182845905 roughly",
        "between 1914-1918 and 1939-1945 there were 21 years",
        "in 2024 some 15,000 people paid 1,234,567 dollars in 12 cities",
    ],
)
def test_check__of_numbers_that_are_nobodys__then_they_pass(text: str) -> None:
    assert finding(text) is None


@pytest.mark.parametrize(
    "text, code",
    [
        ("no", "too_short"),
        ("word " * 20_001, "too_long"),
        ("the caf\u00c3\u00a9 around the corner is closed", "bad_characters"),
        ("somebody decoded this \ufffd and gave up", "bad_characters"),
        ("there is a bell \x07 in this text", "bad_characters"),
        ("buy now " * 30, "repetitive"),
        ("aaaa aaaa aaaa aaaa aaaa aaab", "low_information"),
        ("As an AI language model I am not able to do such a thing", "boilerplate"),
        ("lorem ipsum dolor sit amet and all that", "boilerplate"),
    ],
)
def test_check__of_poor_text__then_says_why(text: str, code: str) -> None:
    assert finding(text) == code


def test_check__of_a_list_of_words__then_only_if_the_steward_asks() -> None:
    text = "that darned router has been down for days"
    assert finding(text) is None
    assert finding(text, Policy(toxic_words=("Darned",))) == "toxic"


@pytest.mark.parametrize(
    "text, code",
    [
        ("The router is in the hall and it was there before we came to this house.", None),
        ("Wie kann ich meinen Router zurücksetzen, wenn die Lampe schon seit Tagen rot blinkt?", "language"),
        ("Comment puis-je réinitialiser mon routeur si la lampe clignote depuis plusieurs jours ?", "language"),
        (
            "如何重置我的路由器，如果红色指示灯一直在闪烁并且几天都没有停止，我应该联系客服还是等待系统自动恢复正常？",
            "language",
        ),
        ("Router reset lamp blinking red button hold press ten seconds restart modem", None),
    ],
)
def test_check__where_the_policy_names_languages__then_others_are_rejected(text: str, code: str | None) -> None:
    assert finding(text, Policy(languages=("en",))) == code


def test_check__of_a_kind_that_is_not_taken__then_every_row_is_rejected() -> None:
    found, _ = Checker(Policy(kinds=("document",)), Kind.TRAINING_ROW).alone([FILLER, FILLER])
    assert [each.code for each in found.values()] == ["kind_not_taken"] * 2


def test_check__of_two_findings__then_the_more_severe_one_is_told() -> None:
    text = "write to anna.lindqvist@gmail.com with ghp_k3Jd8fQz1LmN5vXc7RtY2wBp9HsG4aUe6ToI inside"
    assert finding(text) == "secret"
    assert finding(text, Policy(secrets="accept")) == "personal_data"
    assert finding(text, Policy(secrets="accept", email="accept")) is None


def test_findings__of_every_code__then_have_a_sentence_and_never_the_secret() -> None:
    assert len(NUMBER) == len(CODES) < 256
    found, _ = Checker(Policy(), Kind.TRAINING_ROW).alone(["the key AKIAQ3EGRZ7M2KXPWLVB leaked", FILLER])
    assert "AKIA" not in found[0].sentence
    assert found[0].verdict is Verdict.REJECTED


def test_policy__when_written_and_read__then_is_the_same_and_so_is_its_hash() -> None:
    policy = Policy(languages=("en", "de"), near_share=900, private=True)
    assert read_policy(policy.as_json()) == policy
    assert read_policy(b'{"private": true, "near_share": 900, "languages": ["en", "de"]}').hash == policy.hash
    assert policy.hash != Policy().hash


def test_policy__with_many_faults__then_all_are_named() -> None:
    with pytest.raises(BadPolicy) as caught:
        read_policy(
            b'{"near": "maybe", "least_words": -1, "colour": "blue", "private": 1, "languages": "en", "facts": "x"}'
        )
    for name in ("near", "least_words", "colour", "private", "languages", "facts"):
        assert f"  {name}:" in str(caught.value)
    with pytest.raises(BadPolicy, match="email: accept, hold or reject"):
        read_policy(b'{"email": ["hold"]}')
    with pytest.raises(BadPolicy, match=r"(?s)least_words.*held_out"):
        read_policy(b'{"least_words": 9, "most_words": 3, "validation": 600, "held_out": 600}')
