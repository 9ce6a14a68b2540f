"""Settlement: never above what was signed nor above what was deposited, and no consumer sinks another's."""

import pytest
from eth_utils import keccak

from clock import FOREVER, at, now
from money import BATCH
from suite import OPEN
from typed import digest, twin

EXPIRED, CLOSED, NOTHING_DUE, NO_BALANCE, BAD_SIGNATURE = range(5)
MOST = 2**96 - 1


@pytest.fixture(scope="module")
def escrow(suite, money, actors):
    money.deposit(actors.consumer, 100 * OPEN)
    money.deposit(actors.second_consumer, 100 * OPEN)
    return suite.escrow


@pytest.fixture
def session(escrow, actors):
    """A session key of the consumer with a cap of 30 OPEN; the last second of its life."""
    expires_at = now() + 1_000
    escrow.openSession(actors.session_key.address, 30 * OPEN, expires_at, {"from": actors.consumer.account})
    return expires_at


def account(escrow, actor):
    return tuple(escrow.accountOf(actor.address))


def refused(tx):
    """The reasons in the order of the refusals."""
    return [event["reason"] for event in tx.events["VoucherRefused"]] if "VoucherRefused" in tx.events else []


def test_voucher_digest__then_it_is_that_of_the_published_type(escrow, actors):
    terms = (actors.consumer.address, actors.session_key.address, 5, 77)
    assert bytes(escrow.voucherDigest(*terms)) == digest(escrow, "Voucher", *terms)


def test_settle__when_signed__then_exactly_that_moves_to_the_reserve(escrow, suite, money, actors):
    tx = money.settle(money.voucher(actors.consumer, 30 * OPEN), sender=actors.thief)
    consumer, batch = actors.consumer.address, "0x" + BATCH.hex()
    assert tx.return_value == 30 * OPEN
    assert dict(tx.events["VoucherSettled"]) == {
        "consumer": consumer,
        "key": consumer,
        "batch": batch,
        "amount": 30 * OPEN,
    }
    assert dict(tx.events["BatchSettled"]) == {"batch": batch, "amount": 30 * OPEN, "collectedOfBatch": 30 * OPEN}
    assert account(escrow, actors.consumer) == (70 * OPEN, 30 * OPEN)
    assert escrow.collectedOf(BATCH) == suite.distributor.ledger()[0] == 30 * OPEN
    assert suite.token.balanceOf(suite.distributor.address) == 30 * OPEN
    assert suite.token.balanceOf(escrow.address) == 170 * OPEN


def test_settle__when_cumulative__then_only_the_difference_is_taken(escrow, money, actors):
    money.settle(money.voucher(actors.consumer, 30 * OPEN))
    tx = money.settle(money.voucher(actors.consumer, 45 * OPEN))
    assert tx.return_value == 15 * OPEN
    assert tx.events["BatchSettled"]["collectedOfBatch"] == 45 * OPEN
    assert account(escrow, actors.consumer) == (55 * OPEN, 45 * OPEN)


def test_settle__when_replayed_or_older__then_nothing_is_due(escrow, suite, money, actors):
    voucher = money.voucher(actors.consumer, 30 * OPEN)
    money.settle(voucher)
    tx = money.settle(voucher, money.voucher(actors.consumer, 30 * OPEN - 1), batch=keccak(text="other"))
    assert tx.return_value == 0
    assert refused(tx) == [NOTHING_DUE, NOTHING_DUE]
    assert "BatchSettled" not in tx.events
    assert suite.distributor.ledger()[0] == 30 * OPEN


def test_settle__when_one_voucher_comes_twice_in_a_call__then_it_is_taken_once(escrow, money, actors):
    voucher = money.voucher(actors.consumer, 30 * OPEN)
    tx = money.settle(voucher, voucher)
    assert tx.return_value == 30 * OPEN
    assert refused(tx) == [NOTHING_DUE]
    assert account(escrow, actors.consumer) == (70 * OPEN, 30 * OPEN)


def test_settle__when_more_was_signed_than_deposited__then_the_deposit_is_taken_and_the_rest_stays_due(
    escrow, money, actors
):
    voucher = money.voucher(actors.consumer, 130 * OPEN)
    assert money.settle(voucher).return_value == 100 * OPEN
    assert account(escrow, actors.consumer) == (0, 100 * OPEN)
    assert refused(money.settle(voucher)) == [NO_BALANCE]
    money.deposit(actors.consumer, 50 * OPEN)
    assert money.settle(voucher).return_value == 30 * OPEN
    assert account(escrow, actors.consumer) == (20 * OPEN, 130 * OPEN)


@pytest.mark.parametrize("cumulative", [MOST, MOST + 1, 2**96 + OPEN, FOREVER])
def test_settle__when_signed_beyond_its_field__then_the_deposit_is_taken_and_no_more(escrow, money, actors, cumulative):
    assert money.settle(money.voucher(actors.consumer, cumulative)).return_value == 100 * OPEN
    assert account(escrow, actors.consumer) == (0, 100 * OPEN)


def test_settle__when_at_the_deadline__then_it_is_good(money, actors):
    deadline = now() + 100
    voucher = money.voucher(actors.consumer, OPEN, deadline=deadline)
    at(deadline)
    assert money.settle(voucher).return_value == OPEN


def test_settle__when_one_second_late__then_it_is_refused(money, actors):
    deadline = now() + 100
    voucher = money.voucher(actors.consumer, OPEN, deadline=deadline)
    at(deadline + 1)
    assert refused(money.settle(voucher)) == [EXPIRED]


def test_settle__when_nothing_was_deposited__then_there_is_no_balance(money, actors):
    assert refused(money.settle(money.voucher(actors.thief, OPEN))) == [NO_BALANCE]


@pytest.mark.parametrize("forgery", ["signer", "amount", "deadline", "chain", "domain", "mirrored", "empty", "other"])
def test_settle__when_forged__then_the_signature_is_bad_and_nothing_moves(escrow, suite, money, actors, forgery):
    consumer = actors.consumer
    content = (consumer.address, consumer.address, OPEN, FOREVER)

    def signed(*terms, contract=escrow, chain_id=None):
        return consumer.sign(digest(contract, "Voucher", *(terms or content), chain_id=chain_id))

    signature = {
        "signer": lambda: actors.thief.sign(digest(escrow, "Voucher", *content)),
        "amount": lambda: signed(*content[:2], OPEN - 1, FOREVER),
        "deadline": lambda: signed(*content[:3], now() + 1),
        "chain": lambda: signed(chain_id=1),
        "domain": lambda: signed(contract=suite.distributor),
        "mirrored": lambda: twin(signed()),
        "empty": lambda: b"",
        "other": lambda: signed(actors.second_consumer.address, consumer.address, OPEN, FOREVER),
    }[forgery]()
    tx = money.settle((*content, signature))
    assert refused(tx) == [BAD_SIGNATURE]
    assert account(escrow, consumer) == (100 * OPEN, 0)


def test_settle__when_from_nobody__then_a_broken_signature_is_not_taken_for_nobodys(escrow, suite, money, actors):
    money.fund(actors.thief, OPEN)
    suite.token.approve(escrow, OPEN, {"from": actors.thief.account})
    nobody = "0x" + "00" * 20
    escrow.depositFor(nobody, OPEN, {"from": actors.thief.account})
    assert refused(money.settle((nobody, nobody, OPEN, FOREVER, b"\0" * 65))) == [BAD_SIGNATURE]


def test_settle__when_some_are_bad__then_the_good_ones_are_taken_and_each_reason_is_told(
    escrow, suite, money, actors, session
):
    good = money.voucher(actors.consumer, 10 * OPEN)
    listed = (
        money.voucher(actors.consumer, 20 * OPEN, deadline=now() - 1),
        good,
        money.voucher(actors.consumer, 20 * OPEN, key=actors.thief),
        good,
        money.voucher(actors.thief, OPEN),
        money.voucher(actors.consumer, 20 * OPEN, signer=actors.thief),
        money.voucher(actors.consumer, 5 * OPEN, key=actors.session_key),
        money.voucher(actors.second_consumer, 7 * OPEN),
    )
    tx = money.settle(*listed)
    assert tx.return_value == 22 * OPEN
    assert refused(tx) == [EXPIRED, CLOSED, NOTHING_DUE, NO_BALANCE, BAD_SIGNATURE]
    assert [event["amount"] for event in tx.events["VoucherSettled"]] == [10 * OPEN, 5 * OPEN, 7 * OPEN]
    assert tx.events["BatchSettled"]["amount"] == 22 * OPEN
    assert suite.token.balanceOf(suite.distributor.address) == 22 * OPEN
    first = dict(tx.events["VoucherRefused"][0])
    consumer = actors.consumer.address
    assert first == {"consumer": consumer, "key": consumer, "batch": "0x" + BATCH.hex(), "reason": EXPIRED}


def test_settle__when_empty__then_nothing_happens(money):
    tx = money.settle()
    assert tx.return_value == 0
    assert len(tx.events) == 0


def test_settle__when_of_several_batches__then_each_is_counted_on_its_own(escrow, money, actors):
    other = keccak(text="other batch")
    money.settle(money.voucher(actors.consumer, OPEN))
    money.settle(money.voucher(actors.consumer, 3 * OPEN), batch=other)
    assert (escrow.collectedOf(BATCH), escrow.collectedOf(other)) == (OPEN, 2 * OPEN)


# Session lanes


def test_session_lane__when_used__then_it_has_a_sum_of_its_own(escrow, money, actors, session):
    money.settle(money.voucher(actors.consumer, 10 * OPEN))
    tx = money.settle(money.voucher(actors.consumer, 5 * OPEN, key=actors.session_key))
    assert tx.return_value == 5 * OPEN
    assert tx.events["VoucherSettled"]["key"] == actors.session_key.address
    assert account(escrow, actors.consumer) == (85 * OPEN, 10 * OPEN)
    assert tuple(escrow.sessionOf(actors.consumer.address, actors.session_key.address))[:2] == (30 * OPEN, 5 * OPEN)


def test_session_lane__when_signed_above_the_cap__then_the_cap_is_taken_and_no_more(escrow, money, actors, session):
    tx = money.settle(money.voucher(actors.consumer, 30 * OPEN + 1, key=actors.session_key))
    assert tx.return_value == 30 * OPEN
    tx = money.settle(money.voucher(actors.consumer, FOREVER, key=actors.session_key))
    assert refused(tx) == [NOTHING_DUE]
    assert account(escrow, actors.consumer) == (70 * OPEN, 0)


def test_session_lane__when_in_its_last_second__then_it_is_open(money, actors, session):
    voucher = money.voucher(actors.consumer, OPEN, key=actors.session_key)
    at(session)
    assert money.settle(voucher).return_value == OPEN


def test_session_lane__when_one_second_later__then_it_is_closed(money, actors, session):
    voucher = money.voucher(actors.consumer, OPEN, key=actors.session_key)
    at(session + 1)
    assert refused(money.settle(voucher)) == [CLOSED]


def test_session_lane__when_never_opened__then_it_is_closed(money, actors, session):
    for consumer in (actors.second_consumer, actors.thief):
        assert refused(money.settle(money.voucher(consumer, OPEN, key=actors.session_key))) == [CLOSED]


def test_session_lane__when_its_key_signs_in_the_consumers_own_lane__then_the_signature_is_bad(
    escrow, money, actors, session
):
    tx = money.settle(money.voucher(actors.consumer, OPEN, signer=actors.session_key))
    assert refused(tx) == [BAD_SIGNATURE]
    tx = money.settle(money.voucher(actors.consumer, OPEN, key=actors.session_key, signer=actors.consumer))
    assert refused(tx) == [BAD_SIGNATURE]


# Contract wallets


@pytest.fixture
def wallet(escrow, suite, money, doubles, actors):
    """A contract wallet of the builder with 10 OPEN deposited."""
    made = actors.deployer.account.deploy(doubles.Wallet, actors.builder.address)
    money.fund(actors.relayer, 10 * OPEN)
    suite.token.approve(escrow, 10 * OPEN, {"from": actors.relayer.account})
    escrow.depositFor(made.address, 10 * OPEN, {"from": actors.relayer.account})
    return made


def test_wallet__when_its_owner_signs__then_it_pays(escrow, money, actors, wallet):
    assert money.settle(money.voucher(wallet, OPEN, signer=actors.builder)).return_value == OPEN
    assert refused(money.settle(money.voucher(wallet, 2 * OPEN, signer=actors.thief))) == [BAD_SIGNATURE]


@pytest.mark.parametrize("answer", [2, 3, 5], ids=["no", "four bytes", "burns all gas"])
def test_wallet__when_it_does_not_say_yes__then_the_others_are_settled_all_the_same(money, actors, wallet, answer):
    wallet.behave(answer, {"from": actors.builder.account})
    bad = (wallet.address, wallet.address, OPEN, FOREVER, b"")
    tx = money.settle(bad, money.voucher(actors.consumer, OPEN))
    assert refused(tx) == [BAD_SIGNATURE]
    assert tx.return_value == OPEN
    assert tx.gas_used < 500_000


@pytest.mark.parametrize(("length", "taken"), [(200_000, 2 * OPEN), (1 << 20, OPEN)])
def test_wallet__when_it_answers_at_length__then_the_others_do_not_pay_for_it(money, actors, wallet, length, taken):
    wallet.answerAtLength(length, {"from": actors.builder.account})
    tx = money.settle((wallet.address, wallet.address, OPEN, FOREVER, b""), money.voucher(actors.consumer, OPEN))
    assert tx.return_value == taken
    assert tx.gas_used < 500_000


def test_wallet__when_it_reenters__then_each_voucher_is_taken_once(escrow, suite, money, actors, wallet):
    voucher = (wallet.address, wallet.address, OPEN, FOREVER, b"")
    wallet.reenter(escrow.address, escrow.settle.encode_input(BATCH, [voucher]), {"from": actors.builder.account})
    tx = money.settle(voucher, money.voucher(actors.consumer, OPEN))
    assert tx.return_value == 2 * OPEN
    assert account(escrow, wallet) == (9 * OPEN, OPEN)
    assert suite.token.balanceOf(suite.distributor.address) == 2 * OPEN == suite.distributor.ledger()[0]
