"""An attestor signs one statement for each epoch and round; a second one costs its bond."""

import brownie
import pytest
from eth_utils import keccak

from batches import NO_HASH, Statement
from conftest import refusal

EQUIVOCATION = 0
STATEMENT = Statement(keccak(text="content"))


def test_honest_attestor__when_one_statement_was_signed_twice__then_it_is_no_equivocation(
    suite, actors, attestor_actors
):
    statement = STATEMENT.struct
    signature = attestor_actors[0][1].sign(STATEMENT.digest(suite.distributor))
    with brownie.reverts(refusal("NotAFault", EQUIVOCATION)):
        suite.attestors.proveEquivocation(statement, signature, statement, signature, {"from": actors.finder.account})


@pytest.mark.parametrize("change", [{"epoch": 2}, {"round": 1}], ids=lambda change: next(iter(change)))
def test_honest_attestor__when_the_other_root_is_of_another_epoch_or_round__then_it_is_no_equivocation(
    suite, actors, attestor_actors, change
):
    signer = attestor_actors[0][1]
    first = STATEMENT
    second = first.but(root=keccak(text="another"), **change)
    signatures = [signer.sign(s.digest(suite.distributor)) for s in (first, second)]
    with brownie.reverts(refusal("NotAFault", EQUIVOCATION)):
        suite.attestors.proveEquivocation(
            first.struct, signatures[0], second.struct, signatures[1], {"from": actors.finder.account}
        )


def test_honest_attestor__when_two_attestors_signed_different_roots__then_neither_equivocated(
    suite, actors, attestor_actors
):
    first, second = STATEMENT, STATEMENT.but(root=keccak(text="another"))
    one = attestor_actors[0][1].sign(first.digest(suite.distributor))
    other = attestor_actors[1][1].sign(second.digest(suite.distributor))
    with brownie.reverts(refusal("NotAFault", EQUIVOCATION)):
        suite.attestors.proveEquivocation(first.struct, one, second.struct, other, {"from": actors.finder.account})


@pytest.mark.parametrize(
    "change",
    [
        {"root": keccak(text="another")},
        {"total": 5},
        {"content_hash": NO_HASH},
        {"previous_root": keccak(text="other")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_prove_equivocation__when_two_statements_of_one_epoch_and_round_differ_anywhere__then_the_bond_is_slashed(
    suite, actors, attestor_actors, slashed, change
):
    """One statement for the public and another for the chain: not even under one root."""
    signer = attestor_actors[0][1]
    first, second = STATEMENT, STATEMENT.but(**change)
    one, other = (signer.sign(s.digest(suite.distributor)) for s in (first, second))
    tx = suite.attestors.proveEquivocation(first.struct, one, second.struct, other, {"from": actors.finder.account})
    slashed(tx, EQUIVOCATION)
