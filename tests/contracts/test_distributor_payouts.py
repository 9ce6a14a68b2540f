"""Claims to another recipient, many claims at once, and whole subtrees pushed."""

import brownie
import pytest

from clock import FOREVER, at, now
from conftest import refusal
from merkle import node, reward_leaf, rewards
from suite import OPEN
from typed import digest, twin

LEAF = 10 * OPEN


@pytest.fixture(scope="module")
def wallet(doubles, actors):
    return actors.deployer.account.deploy(doubles.Wallet, actors.builder.address)


@pytest.fixture(scope="module")
def entries(actors, wallet):
    """Eight leaves of the same size: three that matter here, five others."""
    others = [f"0x{number:040x}" for number in range(0x1001, 0x1006)]
    return [
        (account, LEAF) for account in (actors.contributor.address, wallet.address, actors.steward.address, *others)
    ]


@pytest.fixture(scope="module")
def tree(money, entries):
    return money.reward(entries)


@pytest.fixture(scope="module")
def distributor(suite, tree):
    return suite.distributor


@pytest.fixture
def sender(actors):
    return {"from": actors.relayer.account}


def packed(entries):
    return [int(account, 16) << 96 | amount for account, amount in entries]


# To another recipient


def paper(distributor, actors, **changes):
    """The contributor's word that its reward goes to the recipient: (terms, signature)."""
    signer = changes.pop("signer", actors.contributor)
    contract = changes.pop("contract", distributor)
    chain_id = changes.pop("chain_id", None)
    terms = {
        "account": actors.contributor.address,
        "recipient": actors.recipient.address,
        "cumulative": LEAF,
        "deadline": FOREVER,
    } | changes
    return signer.sign(digest(contract, "ClaimTo", *terms.values(), chain_id=chain_id))


def claim_to(distributor, tree, actors, signature, account=None, recipient=None, deadline=FOREVER, index=0):
    return distributor.claimTo(
        account or actors.contributor.address,
        recipient or actors.recipient.address,
        LEAF,
        tree.proof(index),
        deadline,
        signature,
        {"from": actors.relayer.account},
    )


def test_claim_digest__then_it_is_that_of_the_published_type(distributor, actors):
    terms = (actors.contributor.address, actors.recipient.address, 5, 77)
    assert bytes(distributor.claimDigest(*terms)) == digest(distributor, "ClaimTo", *terms)


def test_claim_to__when_signed_by_the_key__then_the_recipient_is_paid(distributor, suite, tree, actors):
    tx = claim_to(distributor, tree, actors, paper(distributor, actors))
    account, recipient = actors.contributor.address, actors.recipient.address
    assert tx.return_value == LEAF
    assert dict(tx.events["ClaimedTo"]) == {"account": account, "recipient": recipient, "amount": LEAF}
    assert (suite.token.balanceOf(account), suite.token.credited(account)) == (0, LEAF)
    assert (suite.token.balanceOf(recipient), suite.token.credited(recipient)) == (LEAF, 0)


def test_claim_to__when_replayed__then_it_pays_nothing(distributor, tree, actors):
    signature = paper(distributor, actors)
    claim_to(distributor, tree, actors, signature)
    with brownie.reverts(refusal("NothingToClaim", actors.contributor.address, LEAF)):
        claim_to(distributor, tree, actors, signature)


def test_claim_to__when_at_the_deadline__then_it_is_good(distributor, suite, tree, actors):
    deadline = now() + 100
    at(deadline)
    claim_to(distributor, tree, actors, paper(distributor, actors, deadline=deadline), deadline=deadline)
    assert suite.token.balanceOf(actors.recipient.address) == LEAF


def test_claim_to__when_one_second_late__then_it_is_refused(distributor, tree, actors):
    deadline = now() + 100
    at(deadline + 1)
    with brownie.reverts(refusal("SignatureExpired", deadline)):
        claim_to(distributor, tree, actors, paper(distributor, actors, deadline=deadline), deadline=deadline)


@pytest.mark.parametrize("forgery", ["signer", "recipient", "cumulative", "chain", "domain", "mirrored", "empty"])
def test_claim_to__when_forged__then_it_is_refused(distributor, suite, tree, actors, forgery):
    signature = {
        "signer": lambda: paper(distributor, actors, signer=actors.thief),
        "recipient": lambda: paper(distributor, actors, recipient=actors.thief.address),
        "cumulative": lambda: paper(distributor, actors, cumulative=LEAF - 1),
        "chain": lambda: paper(distributor, actors, chain_id=1),
        "domain": lambda: paper(distributor, actors, contract=suite.escrow),
        "mirrored": lambda: twin(paper(distributor, actors)),
        "empty": lambda: b"",
    }[forgery]()
    with brownie.reverts(refusal("InvalidClaimSignature", actors.contributor.address)):
        claim_to(distributor, tree, actors, signature)


def test_claim_to__when_a_thief_puts_in_its_own_address__then_it_is_refused(distributor, tree, actors):
    with brownie.reverts(refusal("InvalidClaimSignature", actors.contributor.address)):
        claim_to(distributor, tree, actors, paper(distributor, actors), recipient=actors.thief.address)


def test_claim_to__when_a_thief_runs_ahead_with_a_claim__then_the_account_is_paid_and_not_the_thief(
    distributor, suite, tree, actors
):
    account = actors.contributor.address
    signature = paper(distributor, actors)
    distributor.claim(account, LEAF, tree.proof(0), {"from": actors.thief.account})
    with brownie.reverts(refusal("NothingToClaim", account, LEAF)):
        claim_to(distributor, tree, actors, signature)
    assert suite.token.balanceOf(account) == LEAF
    assert suite.token.balanceOf(actors.thief.address) == 0


def test_claim_to__when_the_token_would_receive__then_it_is_refused(distributor, suite, tree, actors):
    pool = suite.token.address
    signature = paper(distributor, actors, recipient=pool)
    with brownie.reverts(refusal("ERC20InvalidReceiver", pool)):
        claim_to(distributor, tree, actors, signature, recipient=pool)


def test_claim_to__when_the_owner_of_a_wallet_signs__then_the_recipient_is_paid(
    distributor, suite, tree, wallet, actors
):
    signature = paper(distributor, actors, account=wallet.address, signer=actors.builder)
    claim_to(distributor, tree, actors, signature, account=wallet.address, index=1)
    assert suite.token.balanceOf(actors.recipient.address) == LEAF
    assert suite.token.credited(wallet.address) == LEAF


@pytest.mark.parametrize("answer", [2, 3, 5], ids=["no", "four bytes", "burns all gas"])
def test_claim_to__when_a_wallet_does_not_say_yes__then_it_is_refused(distributor, tree, wallet, actors, answer):
    wallet.behave(answer, {"from": actors.builder.account})
    with brownie.reverts(refusal("InvalidClaimSignature", wallet.address)):
        claim_to(distributor, tree, actors, b"", account=wallet.address, index=1)


def test_claim_to__when_a_wallet_reenters__then_it_is_paid_once(distributor, suite, tree, wallet, actors):
    again = distributor.claim.encode_input(wallet.address, LEAF, tree.proof(1))
    wallet.reenter(distributor.address, again, {"from": actors.builder.account})
    pool = suite.token.rewardPool()
    claim_to(distributor, tree, actors, b"", account=wallet.address, index=1)
    assert suite.token.balanceOf(actors.recipient.address) == LEAF
    assert suite.token.balanceOf(wallet.address) == 0
    assert suite.token.rewardPool() == pool - LEAF


def test_claim__when_the_account_is_a_greedy_contract__then_it_is_paid_once(
    distributor, suite, money, tree, doubles, actors
):
    greedy = actors.thief.account.deploy(doubles.GreedyReceiver)
    rich = money.reward([(greedy.address, 100 * OPEN)], tree.root, 2)
    claim = distributor.claim.encode_input(greedy.address, 100 * OPEN, rich.proof(0))
    tx = greedy.take(distributor.address, claim, 3, {"from": actors.thief.account})
    assert tx.return_value == 2
    assert suite.token.balanceOf(greedy.address) == 100 * OPEN
    assert greedy.callbacks() == 0


# Many


def test_claim_many__when_all_are_due__then_each_is_paid(distributor, suite, tree, entries, sender):
    tx = distributor.claimMany([(*entry, tree.proof(index)) for index, entry in enumerate(entries)], sender)
    assert tx.return_value == 8 * LEAF
    assert [(event["from"], event["to"], event["value"]) for event in tx.events["Transfer"]] == [
        (suite.token.address, brownie.convert.to_address(account), LEAF) for account, _ in entries
    ]
    assert "ClaimedTo" not in tx.events
    assert all(suite.token.balanceOf(account) == LEAF for account, _ in entries)


def test_claim_many__when_one_was_claimed_ahead__then_the_others_are_paid_all_the_same(
    distributor, tree, entries, actors, sender
):
    distributor.claim(*entries[1], tree.proof(1), {"from": actors.thief.account})
    tx = distributor.claimMany([(*entries[index], tree.proof(index)) for index in (0, 1, 2, 0)], sender)
    assert tx.return_value == 2 * LEAF
    assert len(tx.events["Transfer"]) == 2


def test_claim_many__when_one_is_forged__then_all_are_refused(distributor, suite, tree, entries, actors, sender):
    forged = (actors.thief.address, LEAF, tree.proof(1))
    computed = reward_leaf(actors.thief.address, LEAF)
    for sibling in tree.proof(1):
        computed = node(computed, sibling)
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.claimMany([(*entries[0], tree.proof(0)), forged], sender)
    assert suite.token.credited(entries[0][0]) == 0


# Subtrees


@pytest.mark.parametrize(("start", "size"), [(0, 2), (6, 2), (4, 4), (0, 8)])
def test_push__when_a_subtree_of_the_tree__then_every_account_is_paid(
    distributor, suite, tree, entries, sender, start, size
):
    chosen = entries[start : start + size]
    proof = tree.proof(start, height=size.bit_length() - 1)
    tx = distributor.pushSubtree(packed(chosen), proof, sender)
    assert tx.return_value == size * LEAF
    assert dict(tx.events["SubtreePushed"]) == {"root": "0x" + tree.root.hex(), "leaves": size, "amount": size * LEAF}
    assert all(suite.token.credited(account) == LEAF for account, _ in chosen)


def test_push__when_some_claimed_before__then_only_the_others_are_paid_and_a_second_push_pays_nothing(
    distributor, suite, tree, entries, sender
):
    distributor.claim(*entries[0], tree.proof(0), sender)
    assert distributor.pushSubtree(packed(entries[:4]), tree.proof(0, 2), sender).return_value == 3 * LEAF
    assert distributor.pushSubtree(packed(entries[:4]), tree.proof(0, 2), sender).return_value == 0
    assert suite.token.balanceOf(entries[0][0]) == LEAF


def test_push__when_the_tree_is_padded__then_the_padding_is_passed_over(distributor, money, tree, entries, sender):
    short = money.reward([(account, 80 * OPEN) for account, _ in entries[:3]], tree.root, 2)
    leaves = [*packed((account, 80 * OPEN) for account, _ in entries[:3]), 0]
    assert distributor.pushSubtree(leaves, [], sender).return_value == 3 * 80 * OPEN
    assert short.root == rewards([(account, 80 * OPEN) for account, _ in entries[:3]]).root


@pytest.mark.parametrize("size", [0, 1, 3, 5, 6, 7])
def test_push__when_the_run_is_no_power_of_two__then_it_is_refused(distributor, entries, sender, size):
    with brownie.reverts(refusal("SubtreeSize", size)):
        distributor.pushSubtree(packed(entries[:size]), [], sender)


def test_push__when_inner_nodes_are_passed_off_as_leaves__then_they_are_none(distributor, tree, sender):
    nodes = [int.from_bytes(inner, "big") for inner in tree.layers[-2]]
    hashed = [reward_leaf(f"0x{inner >> 96:040x}", inner & (2**96 - 1)) for inner in nodes]
    with brownie.reverts(refusal("RootNotActive", node(*hashed), 0)):
        distributor.pushSubtree(nodes, [], sender)


def test_push__when_one_leaf_is_forged__then_the_whole_run_is_refused(
    distributor, suite, tree, entries, actors, sender
):
    forged = [(actors.thief.address, LEAF), *entries[1:2]]
    computed = node(*(reward_leaf(*entry) for entry in forged))
    for sibling in tree.proof(0, 1):
        computed = node(computed, sibling)
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.pushSubtree(packed(forged), tree.proof(0, 1), sender)
    assert suite.token.credited(actors.thief.address) == 0


def test_push__when_the_root_waits__then_it_is_refused(distributor, money, tree, entries, sender):
    grown = [(account, 2 * LEAF) for account, _ in entries]
    pending = rewards(grown)
    money.post(pending.root, 8 * LEAF, tree.root, 2)
    activates_at = distributor.recordOf(pending.root)[0]
    at(activates_at - 1)
    with brownie.reverts(refusal("RootNotActive", pending.root, activates_at)):
        distributor.pushSubtree(packed(grown), [], sender)
    at(activates_at)
    assert distributor.pushSubtree(packed(grown), [], sender).return_value == 8 * LEAF
