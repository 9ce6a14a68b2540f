"""Each fault of a batch is proven against a batch that has it, and none against a batch that has none."""

from dataclasses import astuple, replace

import brownie
import pytest
from brownie import web3
from eth_utils import keccak

from batches import (
    ATTESTOR,
    BUILDER,
    CONTRIBUTOR,
    Batch,
    Receipt,
    Voucher,
    running,
    shares_hash,
    shares_of,
    voucher_digest,
)
from conftest import refusal
from contributions import fund, next_block_at
from suite import OPEN

HEADER_SUM, RECEIPT_SUM, RECEIPT_SPLIT, RECEIPT_ORDER, UNSIGNED_VOUCHER = range(1, 6)
SPLIT = (6_000, 2_500, 0, 500, 500, 500)
FEES = (1_000_003, 77, 5 * OPEN + 1, 1, 9_999)
FAR = 2**40
BOND = 100_000 * OPEN
# A wallet that calls every signature its own: it answers any call with the ERC-1271 magic value.
AGREES_TO_ALL = "0x631626ba7e60e01b60005260206000f3"
# All proofs that rest on a header, in the order of the faults.
PROOFS = ("proveHeaderSum", "proveReceiptSum", "proveReceiptSplit", "proveReceiptOrder", "proveUnsignedVoucher")


@pytest.fixture(scope="module")
def model(suite, actors):
    builder = {"from": actors.builder.account}
    made = suite.models.register("base", True, 1, 1, builder).return_value
    artifacts = tuple(keccak(text=part) for part in ("weights", "manifest", "evaluation", "accuracy"))
    suite.models.publish(made, artifacts, SPLIT, [], [], builder)
    return made


@pytest.fixture(scope="module")
def receipts(actors, model):
    roles = "contributor builder builder reviewer finder holder".split()
    accounts = [getattr(actors, role).address for role in roles]
    made = []
    for number, fee in enumerate(FEES):
        shares = tuple(shares_of(fee, SPLIT, accounts, unattributed=fee // 10))
        made.append(Receipt(number, actors.consumer.address, model, 1, fee, 0, shares))
    return running(made)


def voucher_by(suite, actor, cumulative: int = 100, signer=None) -> Voucher:
    digest = voucher_digest(suite.escrow, actor.address, actor.address, cumulative, FAR)
    return Voucher(actor.address, actor.address, cumulative, FAR, (signer or actor).sign(digest))


@pytest.fixture(scope="module")
def honest(suite, actors, receipts):
    return Batch(receipts, [voucher_by(suite, actors.consumer), voucher_by(suite, actors.second_consumer, 200)])


@pytest.fixture
def vouch(suite, attestor_actors):
    """What every proof begins with: the statement, an attestor's signature on it and the header."""

    def signed(batch: Batch) -> tuple:
        statement = batch.statement
        signature = attestor_actors[0][1].sign(statement.digest(suite.distributor))
        return (statement.struct, signature, batch.header.struct)

    return signed


def changed(batch: Batch, place: int, **changes) -> Batch:
    receipts = list(batch.receipts)
    receipts[place] = receipts[place].but(**changes)
    return Batch(receipts, batch.vouchers, overrides={"fees": batch.header.fees, "amounts": batch.header.amounts})


def test_header_and_digests__when_hashed_in_python__then_the_chain_agrees(suite, honest, actors):
    assert bytes(suite.distributor.rootDigest(honest.statement.struct)) == honest.statement.digest(suite.distributor)
    consumer = actors.consumer.address
    expected = voucher_digest(suite.escrow, consumer, consumer, 7, 8)
    assert bytes(suite.escrow.voucherDigest(consumer, consumer, 7, 8)) == expected


# Honest batches


def test_honest_batch__when_accused_of_each_fault__then_no_receipt_header_or_voucher_proves_it(
    suite, actors, honest, vouch
):
    finder = {"from": actors.finder.account}
    base = vouch(honest)
    accusations = [(HEADER_SUM, suite.attestors.proveHeaderSum, ())]
    for place, receipt in enumerate(honest.receipts):
        proof = honest.receipt_proof(place)
        accusations.append((RECEIPT_SUM, suite.attestors.proveReceiptSum, (proof, receipt.shares)))
        accusations.append((RECEIPT_SPLIT, suite.attestors.proveReceiptSplit, (proof, receipt.shares)))
        for other in range(len(honest.receipts)):
            both = (proof, honest.receipt_proof(other))
            accusations.append((RECEIPT_ORDER, suite.attestors.proveReceiptOrder, both))
    for place in range(len(honest.vouchers)):
        accusations.append((UNSIGNED_VOUCHER, suite.attestors.proveUnsignedVoucher, (honest.voucher_proof(place),)))
    for fault, prove, evidence in accusations:
        with brownie.reverts(refusal("NotAFault", fault)):
            prove.call(*base, *evidence, finder)


# Faults


@pytest.mark.parametrize("off", [1, -1])
def test_prove_header_sum__when_the_parts_miss_the_fees_by_one_wei__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed, off
):
    lying = Batch(honest.receipts, honest.vouchers, overrides={"fees": honest.header.fees + off})
    slashed(suite.attestors.proveHeaderSum(*vouch(lying), {"from": actors.finder.account}), HEADER_SUM)


@pytest.mark.parametrize("epoch", [0, 2])
def test_prove_header_sum__when_the_batch_is_of_another_epoch_than_the_root__then_the_bond_is_slashed(
    suite, actors, attestor_actors, honest, slashed, epoch
):
    """Else one batch could be paid in two epochs."""
    elsewhere = Batch(honest.receipts, honest.vouchers, epoch=epoch)
    statement = elsewhere.statement.but(epoch=1)
    signature = attestor_actors[0][1].sign(statement.digest(suite.distributor))
    evidence = (statement.struct, signature, elsewhere.header.struct)
    slashed(suite.attestors.proveHeaderSum(*evidence, {"from": actors.finder.account}), HEADER_SUM)


@pytest.mark.parametrize("off", [1, -1])
def test_prove_receipt_sum__when_the_shares_miss_the_fee_by_one_wei__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed, off
):
    lying = changed(honest, 2, fee=honest.receipts[2].fee + off)
    evidence = (lying.receipt_proof(2), lying.receipts[2].shares)
    slashed(suite.attestors.proveReceiptSum(*vouch(lying), *evidence, {"from": actors.finder.account}), RECEIPT_SUM)


def moved(shares: tuple, source: int, target: int, amount: int) -> tuple:
    delta = {source: -amount, target: amount}
    return tuple((role, account, value + delta.get(role, 0)) for role, account, value in shares)


@pytest.mark.parametrize("source, target", [(CONTRIBUTOR, BUILDER), (ATTESTOR, CONTRIBUTOR), (BUILDER, ATTESTOR)])
def test_prove_receipt_split__when_two_wei_moved_from_one_role_to_another__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed, source, target
):
    lying = changed(honest, 0, shares=moved(honest.receipts[0].shares, source, target, 2))
    evidence = (lying.receipt_proof(0), lying.receipts[0].shares)
    slashed(suite.attestors.proveReceiptSplit(*vouch(lying), *evidence, {"from": actors.finder.account}), RECEIPT_SPLIT)


def test_prove_receipt_split__when_a_part_is_off_by_exactly_one_wei__then_the_bond_is_slashed(
    suite, actors, receipts, vouch, slashed
):
    """A fee of 10,000 wei leaves nothing to round, so one wei is already too much."""
    accounts = [actors.contributor.address] * 6
    exact = shares_of(10_000, SPLIT, accounts)
    lying = Batch(running([receipts[0].but(fee=10_000, shares=moved(tuple(exact), BUILDER, CONTRIBUTOR, 1))]))
    evidence = (lying.receipt_proof(0), lying.receipts[0].shares)
    slashed(suite.attestors.proveReceiptSplit(*vouch(lying), *evidence, {"from": actors.finder.account}), RECEIPT_SPLIT)


def test_prove_receipt_split__when_the_model_was_never_published__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed
):
    lying = changed(honest, 0, version=2)
    evidence = (lying.receipt_proof(0), lying.receipts[0].shares)
    slashed(suite.attestors.proveReceiptSplit(*vouch(lying), *evidence, {"from": actors.finder.account}), RECEIPT_SPLIT)


ORDER_FAULTS = {
    "one index twice": (1, {"index": 2}, (1, 2)),
    "running sum breaks": (2, {"fees_before": 7}, (1, 2)),
    "first does not start at zero": (0, {"fees_before": 1}, (0, 0)),
    "index at the count": (4, {"index": 5}, (4, 4)),
    "last sum is not the header's": (4, {"fees_before": 3}, (4, 4)),
}


@pytest.mark.parametrize("case", ORDER_FAULTS.values(), ids=ORDER_FAULTS)
def test_prove_receipt_order__when_receipts_contradict_each_other_or_the_header__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed, case
):
    place, change, (first, second) = case
    lying = changed(honest, place, **change)
    evidence = (lying.receipt_proof(first), lying.receipt_proof(second))
    slashed(suite.attestors.proveReceiptOrder(*vouch(lying), *evidence, {"from": actors.finder.account}), RECEIPT_ORDER)


def test_prove_unsigned_voucher__when_a_thief_signed_for_the_consumer__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed
):
    forged = voucher_by(suite, actors.consumer, signer=actors.thief)
    lying = Batch(honest.receipts, [*honest.vouchers, forged])
    tx = suite.attestors.proveUnsignedVoucher(*vouch(lying), lying.voucher_proof(2), {"from": actors.finder.account})
    slashed(tx, UNSIGNED_VOUCHER)


def test_prove_unsigned_voucher__when_the_signature_is_no_signature__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed
):
    lying = Batch(honest.receipts, [Voucher(actors.consumer.address, actors.consumer.address, 1, FAR, b"")])
    tx = suite.attestors.proveUnsignedVoucher(*vouch(lying), lying.voucher_proof(0), {"from": actors.finder.account})
    slashed(tx, UNSIGNED_VOUCHER)


def test_prove_unsigned_voucher__when_the_key_is_a_contract__then_nothing_can_be_proven(suite, actors, honest, vouch):
    wallet = suite.models.address
    batch = Batch(honest.receipts, [Voucher(wallet, wallet, 1, FAR, b"whatever")])
    with brownie.reverts(refusal("NotAFault", UNSIGNED_VOUCHER)):
        suite.attestors.proveUnsignedVoucher(*vouch(batch), batch.voucher_proof(0), {"from": actors.finder.account})


def settled_by_code(suite, actors, honest, deposit: int, cumulative: int) -> Batch:
    """A voucher that the consumer's code vouched for when the escrow settled it, and the code gone afterwards.

    An account with a key may delegate to code and take that back (ERC-7702).
    """
    consumer = actors.second_consumer
    fund(suite, actors, consumer, deposit, suite.escrow)
    suite.escrow.deposit(deposit, {"from": consumer.account})
    voucher = Voucher(consumer.address, consumer.address, cumulative, FAR, b"agreed by code")
    batch = Batch(honest.receipts, [voucher])
    web3.provider.make_request("anvil_setCode", [consumer.address, AGREES_TO_ALL])
    suite.escrow.settle(batch.header.hash, [astuple(voucher)], {"from": actors.relayer.account})
    web3.provider.make_request("anvil_setCode", [consumer.address, "0x"])
    return batch


@pytest.mark.parametrize("cumulative", [OPEN, OPEN + 1, 2**256 - 1])
def test_prove_unsigned_voucher__when_the_escrow_took_it_from_a_wallet_that_drops_its_code__then_nobody_is_slashed(
    suite, actors, honest, vouch, cumulative
):
    """Also where the balance covered but a part of the voucher."""
    batch = settled_by_code(suite, actors, honest, OPEN, cumulative)
    voucher = batch.vouchers[0]
    digest = voucher_digest(suite.escrow, voucher.consumer, voucher.key, voucher.cumulative, voucher.deadline)
    assert suite.escrow.foundGood(digest) is True
    assert len(web3.eth.get_code(voucher.consumer)) == 0
    with brownie.reverts(refusal("NotAFault", UNSIGNED_VOUCHER)):
        suite.attestors.proveUnsignedVoucher(*vouch(batch), batch.voucher_proof(0), {"from": actors.finder.account})


def test_prove_unsigned_voucher__when_the_wallet_vouched_for_another_voucher__then_the_bond_is_slashed(
    suite, actors, honest, vouch, slashed
):
    voucher = settled_by_code(suite, actors, honest, OPEN, OPEN).vouchers[0]
    lying = Batch(honest.receipts, [replace(voucher, cumulative=OPEN - 1)])
    tx = suite.attestors.proveUnsignedVoucher(*vouch(lying), lying.voucher_proof(0), {"from": actors.finder.account})
    slashed(tx, UNSIGNED_VOUCHER)


# Evidence that does not belong to what was signed


def test_every_proof__when_the_header_is_not_the_signed_one__then_it_is_refused(suite, actors, honest, vouch):
    statement, signature, _ = vouch(honest)
    other = Batch(honest.receipts, honest.vouchers, overrides={"fees": 1}).header
    base = (statement, signature, other.struct)
    receipt, shares = honest.receipt_proof(0), honest.receipts[0].shares
    evidence = ((), (receipt, shares), (receipt, shares), (receipt, receipt), (honest.voucher_proof(0),))
    for proof, more in zip(PROOFS, evidence, strict=True):
        with brownie.reverts(refusal("HeaderMismatch", other.hash, honest.header.hash)):
            getattr(suite.attestors, proof)(*base, *more, {"from": actors.finder.account})


def test_receipt_proofs__when_the_receipt_is_not_in_the_batch__then_they_are_refused(suite, actors, honest, vouch):
    stranger = honest.receipts[0].but(fee=5)
    forged, real, shares = (stranger.struct, []), honest.receipt_proof(0), honest.receipts[0].shares
    committed = honest.receipt_tree.root
    for proof, more in (
        ("proveReceiptSum", (forged, shares)),
        ("proveReceiptSplit", (forged, shares)),
        ("proveReceiptOrder", (forged, real)),
        ("proveReceiptOrder", (real, forged)),
    ):
        with brownie.reverts(refusal("ProofMismatch", stranger.leaf, committed)):
            getattr(suite.attestors, proof)(*vouch(honest), *more, {"from": actors.finder.account})


@pytest.mark.parametrize("proof", ["proveReceiptSum", "proveReceiptSplit"])
def test_share_proofs__when_the_shares_are_not_the_receipts__then_they_are_refused(suite, actors, honest, vouch, proof):
    given = list(honest.receipts[1].shares)
    expected = refusal("ProofMismatch", shares_hash(given), shares_hash(list(honest.receipts[0].shares)))
    with brownie.reverts(expected):
        prove = getattr(suite.attestors, proof)
        prove(*vouch(honest), honest.receipt_proof(0), given, {"from": actors.finder.account})


def test_prove_unsigned_voucher__when_the_voucher_is_not_in_the_batch__then_it_is_refused(suite, actors, honest, vouch):
    forged = voucher_by(suite, actors.consumer, signer=actors.thief)
    with brownie.reverts(refusal("ProofMismatch", forged.leaf, honest.voucher_tree.root)):
        suite.attestors.proveUnsignedVoucher(*vouch(honest), (*astuple(forged), []), {"from": actors.finder.account})


def test_every_proof__when_a_stranger_signed__then_it_is_refused(suite, actors, honest):
    statement = honest.statement
    signature = actors.thief.sign(statement.digest(suite.distributor))
    with brownie.reverts(refusal("NotAnAttestor", actors.thief.address)):
        header = honest.header.struct
        suite.attestors.proveHeaderSum(statement.struct, signature, header, {"from": actors.finder.account})


# Who is liable, and until when


def lie(honest: Batch) -> Batch:
    return Batch(honest.receipts, honest.vouchers, overrides={"fees": honest.header.fees + 1})


def test_liability__when_the_key_was_rotated__then_the_owner_still_answers_for_the_old_key(
    suite, actors, honest, vouch, culprit, slashed
):
    evidence = vouch(lie(honest))
    suite.attestors.rotateKey(actors.session_key.address, {"from": culprit.account})
    slashed(suite.attestors.proveHeaderSum(*evidence, {"from": actors.finder.account}), HEADER_SUM)
    assert suite.attestors.seatOf(actors.session_key.address)[1] == 0


def test_liability__when_the_attestor_is_leaving__then_the_bond_is_slashed_until_it_is_withdrawn(
    suite, actors, honest, vouch, culprit, slashed
):
    suite.attestors.announceExit({"from": culprit.account})
    tx = suite.attestors.proveHeaderSum(*vouch(lie(honest)), {"from": actors.finder.account})
    slashed(tx, HEADER_SUM)
    with brownie.reverts(refusal("NotJoined", culprit.address)):
        suite.attestors.withdrawBond(culprit.address, {"from": culprit.account})


def test_liability__when_the_bond_was_withdrawn__then_nothing_is_left_to_slash(suite, actors, honest, vouch, culprit):
    suite.attestors.announceExit({"from": culprit.account})
    next_block_at(suite.attestors.bondOf(culprit.address)[1])
    suite.attestors.withdrawBond(culprit.address, {"from": culprit.account})
    with brownie.reverts(refusal("NothingToSlash", culprit.address)):
        suite.attestors.proveHeaderSum(*vouch(lie(honest)), {"from": actors.finder.account})


def test_liability__when_the_same_fault_is_proven_twice__then_nothing_is_left_to_slash(
    suite, actors, honest, vouch, culprit
):
    suite.attestors.proveHeaderSum(*vouch(lie(honest)), {"from": actors.finder.account})
    with brownie.reverts(refusal("NothingToSlash", culprit.address)):
        suite.attestors.proveHeaderSum(*vouch(lie(honest)), {"from": actors.finder.account})


def test_liability__when_slashed__then_the_operator_never_comes_back_under_its_address(
    suite, actors, as_timelock, honest, vouch, culprit
):
    """The proof of its old fault would cost it the new bond as well."""
    suite.attestors.proveHeaderSum(*vouch(lie(honest)), {"from": actors.finder.account})
    with brownie.reverts(refusal("NotAdmitted", culprit.address)):
        suite.attestors.join(actors.session_key.address, BOND, {"from": culprit.account})
    with brownie.reverts(refusal("WasSlashed", culprit.address)):
        suite.attestors.admit(culprit.address, {"from": as_timelock})
