"""The sender on a real chain."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fixtures.anvil import ACCOUNTS
from fixtures.chain import GWEI, outcome, plan, sender_on, signer_for_tests, transfer_intent
from fixtures.suite import Suite
from oracle.chain import stops
from oracle.chain.lane import MOST_PLANNED
from oracle.chain.releasing import StillPossible, release
from oracle.chain.rpc import Rpc
from oracle.chain.sender import OutOfFunds
from oracle.chain.stops import DeepReorg
from oracle.store import blocks, intents
from oracle.store.broadcasts import LaneTaken, broadcasts_of
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.types import ChainId, Timestamp, Wei

RECIPIENT = "0x00000000000000000000000000000000000A11cE"


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def received(suite: Suite) -> int:
    amount: int = suite.read("OpenToken", "balanceOf", RECIPIENT)
    return amount


def test_advance__from_planned_to_final__then_it_was_done_once(suite: Suite, ledger: Database) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5), transfer_intent(suite, "two", RECIPIENT, 7))
    sender = sender_on(suite, ledger)
    assert sender.advance().sent == ["one", "two"]
    assert sender.advance().mined == ["one", "two"]
    assert outcome(ledger, "one").succeeded
    suite.anvil.mine(2)
    assert sender.advance().final == ["one", "two"]
    assert (outcome(ledger, "one").state, received(suite)) == ("final", 12)
    sender.advance()
    assert received(suite) == 12


def test_advance__when_the_contract_would_refuse__then_says_why_and_sends_nothing(
    suite: Suite, ledger: Database
) -> None:
    before = suite.anvil.nonce(ACCOUNTS[0])
    plan(ledger, transfer_intent(suite, "too much", RECIPIENT, 10**30))
    assert sender_on(suite, ledger).advance().refused == ["too much"]
    assert (
        "ERC20InsufficientBalance(" in (outcome(ledger, "too much").reason or "") or outcome(ledger, "too much").reason
    )
    assert suite.anvil.nonce(ACCOUNTS[0]) == before


def test_advance__when_not_mined__then_is_replaced_at_the_same_nonce_up_to_the_ceiling(
    suite: Suite, ledger: Database
) -> None:
    suite.anvil.ask("evm_setAutomine", False)
    plan(ledger, transfer_intent(suite, "slow", RECIPIENT, 5))
    sender = sender_on(suite, ledger, stuck_after=1, ceiling=Wei(5 * GWEI))
    nonce = suite.anvil.nonce(ACCOUNTS[0])
    assert sender.advance().sent == ["slow"]
    replaced = 0
    for _ in range(60):
        # The chain goes on without it: no room for us.
        suite.anvil.ask("anvil_dropAllTransactions")
        suite.anvil.mine()
        done = sender.advance()
        replaced += len(done.replaced)
        if "ceiling" in done.waiting.get("slow", ""):
            break
    assert replaced > 3
    with ledger.reading() as connection:
        signed = broadcasts_of(connection, ["slow"])["slow"]
    assert {broadcast.nonce for broadcast in signed} == {nonce}
    for before, after in itertools.pairwise(signed):
        assert after.fees.max_fee * 10 >= before.fees.max_fee * 11 and after.fees.tip * 10 >= before.fees.tip * 11
    assert signed[-1].fees.max_fee <= 5 * GWEI
    suite.anvil.mine()
    assert sender.advance().mined == ["slow"]
    assert received(suite) == 5


def test_advance__when_a_reorg_takes_it_back__then_the_same_transaction_is_sent_again(
    suite: Suite, ledger: Database
) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    sender = sender_on(suite, ledger)
    sender.advance()
    sender.advance()
    tx = outcome(ledger, "one").tx
    suite.anvil.reorg(1)
    assert received(suite) == 0
    assert sender.advance().taken_back == ["one"]
    sender.advance()
    assert (outcome(ledger, "one").tx, received(suite)) == (tx, 5)


def test_advance__when_another_daemon_holds_the_lane__then_waits_for_its_lease(suite: Suite, ledger: Database) -> None:
    clock = [1000.0]
    first = sender_on(suite, ledger, now=lambda: clock[0], holder="first")
    second = sender_on(suite, ledger, now=lambda: clock[0], holder="second")
    first.advance()
    with pytest.raises(LaneTaken, match="first sends with"):
        second.advance()
    clock[0] += 121
    second.advance()
    with pytest.raises(LaneTaken, match="second sends with"):
        first.advance()
    second.close()
    first.advance()


def test_advance__when_a_later_intent_needs_an_earlier_one__then_waits_for_it(suite: Suite, ledger: Database) -> None:
    plan(
        ledger,
        transfer_intent(suite, "second", RECIPIENT, 1, after="first"),
        transfer_intent(suite, "first", RECIPIENT, 10**30),
        transfer_intent(suite, "third", RECIPIENT, 1, after="second"),
    )
    sender = sender_on(suite, ledger)
    assert sender.advance().refused == ["first"]
    assert sender.advance().refused == ["second", "third"]
    assert outcome(ledger, "second").reason == "first comes before it and was refused"


def test_advance__when_more_wait_than_are_looked_at__then_roots_and_vouchers_go_before_them(
    suite: Suite, ledger: Database
) -> None:
    """Whatever anybody has planned before, and whatever it waits for: money is not behind it."""
    early = [transfer_intent(suite, f"early {n}", RECIPIENT, 1, after="never planned") for n in range(MOST_PLANNED + 5)]
    pays = [
        replace(transfer_intent(suite, purpose, RECIPIENT, 3), purpose=purpose)
        for purpose in (intents.POSTS, intents.SETTLES, intents.REFILLS)
    ]
    plan(ledger, *early, *pays)
    sender = sender_on(suite, ledger)
    assert sender.advance().sent == [intent.key for intent in pays]
    sender.advance()
    assert received(suite) == 9


def test_advance__when_a_nonce_is_missing__then_it_is_passed(suite: Suite, ledger: Database) -> None:
    sender = sender_on(suite, ledger)
    suite.anvil.send(ACCOUNTS[1])  # a stranger with the same key
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    sender.advance()
    suite.anvil.reorg(2)  # takes back both, and nobody repeats the stranger's
    done = sender.advance()
    assert done.taken_back == [] and done.waiting == {}
    sender.advance()
    assert received(suite) == 5
    assert outcome(ledger, "one").state == "mined"


def test_advance__when_the_nonce_was_used_elsewhere__then_parks_and_a_person_releases(
    suite: Suite, ledger: Database
) -> None:
    rpc = Rpc.of_urls([suite.anvil.url], ChainId(31337))
    suite.anvil.ask("evm_setAutomine", False)
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    sender = sender_on(suite, ledger)
    sender.advance()
    suite.anvil.ask("anvil_dropAllTransactions")
    suite.anvil.send(ACCOUNTS[1])
    suite.anvil.mine()
    sender.advance()
    assert outcome(ledger, "one").state == "broadcast"
    suite.anvil.mine(2)
    assert sender.advance().parked == ["one"]
    assert "openledger send release one" in (outcome(ledger, "one").reason or "")
    release(rpc, ledger, "finalized", "one")
    sender.advance()
    with pytest.raises(StillPossible, match="is broadcast"):
        release(rpc, ledger, "finalized", "one")
    suite.anvil.mine()
    sender.advance()
    assert received(suite) == 5


def test_advance__when_blocks_come_fast__then_half_a_minute_passes_before_a_replacement(
    suite: Suite, ledger: Database
) -> None:
    suite.anvil.mine()  # the chain's clock was set forward after the deployment
    suite.anvil.ask("evm_setAutomine", False)
    plan(ledger, transfer_intent(suite, "slow", RECIPIENT, 5))
    sender = sender_on(suite, ledger, stuck_after=3, stuck_after_s=30)
    sender.advance()
    for seconds, replaced in ((9, []), (9, []), (9, []), (9, ["slow"])):
        suite.anvil.ask("anvil_dropAllTransactions")
        suite.anvil.ask("evm_increaseTime", seconds)
        suite.anvil.mine()
        assert sender.advance().replaced == replaced


def test_advance__without_ether__then_says_where_to_send_it_and_goes_on_later(suite: Suite, ledger: Database) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    suite.anvil.ask("anvil_setBalance", ACCOUNTS[0], "0x1")
    sender = sender_on(suite, ledger)
    with pytest.raises(OutOfFunds, match=f"{ACCOUNTS[0]} on chain 31337: .*send ether to it"):
        sender.advance()
    suite.anvil.ask("anvil_setBalance", ACCOUNTS[0], hex(10**18))
    sender.advance()
    sender.advance()
    assert outcome(ledger, "one").state == "mined"


def test_advance__when_gas_is_above_the_ceiling__then_nothing_is_signed(suite: Suite, ledger: Database) -> None:
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    done = sender_on(suite, ledger, ceiling=Wei(1000)).advance()
    assert "OPENLEDGER_MAX_FEE_GWEI" in done.waiting["one"]
    assert outcome(ledger, "one").state == "planned"


def test_advance__when_mined_but_reverted__then_failed_and_never_repeated(suite: Suite, ledger: Database) -> None:
    suite.anvil.ask("evm_setAutomine", False)
    everything = suite.read("OpenToken", "balanceOf", ACCOUNTS[0])
    # Each is fine by itself when it is tried, the second no longer when it is mined.
    plan(
        ledger,
        transfer_intent(suite, "first", RECIPIENT, everything, gas_limit=100_000),
        transfer_intent(suite, "second", RECIPIENT, everything, gas_limit=100_000),
    )
    sender = sender_on(suite, ledger)
    assert sender.advance().sent == ["first", "second"]
    suite.anvil.mine(3)
    sender.advance()
    done = sender.advance()
    assert (done.final, done.failed) == (["first"], ["second"])
    assert "but reverted" in (outcome(ledger, "second").reason or "")
    assert received(suite) == everything


def test_advance__when_what_was_final_is_taken_back_unseen_by_the_indexer__then_stops_for_a_person(
    suite: Suite, ledger: Database
) -> None:
    sender = sender_on(suite, ledger, finality=2)
    plan(ledger, transfer_intent(suite, "one", RECIPIENT, 5))
    sender.advance()
    suite.anvil.mine(3)
    sender.advance()
    sender.advance()
    assert outcome(ledger, "one").state == "final"
    suite.anvil.reorg(6)  # no indexer has ever read these blocks
    plan(ledger, transfer_intent(suite, "two", RECIPIENT, 7))
    with pytest.raises(DeepReorg, match="openledger index clear"):
        sender.advance()
    with ledger.transaction() as connection:
        mark = blocks.open_stop(connection, ChainId(31337))
        assert mark is not None
        stops.clear(connection, mark, "the person looked", Timestamp(1))
    for _ in range(4):
        sender.advance()
        suite.anvil.mine(3)
    assert [outcome(ledger, key).state for key in ("one", "two")] == ["final", "final"]
    assert received(suite) == 12


def test_advance__when_a_call_is_another_key_s__then_leaves_it_to_that_key(suite: Suite, ledger: Database) -> None:
    intent = transfer_intent(suite, "of the second", RECIPIENT, 5)
    with ledger.transaction() as connection:
        intents.plan(connection, intent, ACCOUNTS[1])
    assert sender_on(suite, ledger).advance().sent == []
    assert outcome(ledger, intent.key).state == "planned"
    suite.send("OpenToken", "transfer", ACCOUNTS[1], 5)
    plan(ledger, transfer_intent(suite, "anybody's", RECIPIENT, 7))
    assert sender_on(suite, ledger, signer=signer_for_tests(1)).advance(adopt=False).sent == [intent.key]
    assert received(suite) == 5
