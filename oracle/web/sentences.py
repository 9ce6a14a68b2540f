"""Why a contract refuses, for people: the name of its error, and what to do."""

from __future__ import annotations

SENTENCES = {
    "NothingToClaim": "All of it has been claimed already, perhaps a moment ago from another window. Nothing is lost.",
    "RootNotActive": "The batch is not active yet: its window for objections is still open. Try again when it is over.",
    "RootTooOld": "A newer batch has replaced this one. Load the page again and claim from the newer one.",
    "ERC20InsufficientBalance": "There is not enough OPEN in the account, or in the pool until it is filled again.",
    "ERC20InsufficientAllowance": "The contract may not take that much OPEN yet. Approve it first.",
    "DepositTooLarge": "That is more than the escrow takes at once. Deposit less.",
    "ZeroAmount": "The amount is nothing.",
    "InsufficientBalance": "There is less than that in the escrow.",
    "WithdrawalNotReady": "The notice has not run out yet; the operator may settle what you owe until then.",
    "NoWithdrawal": "No withdrawal was asked for. Ask for it first, then take it after the notice.",
    "GovernorAlreadyCastVote": "This account has voted already. A vote stands.",
    "GovernorUnexpectedProposalState": "There is no voting on this proposal now: it has not begun, or it is over.",
    "GovernorNonexistentProposal": "There is no such proposal on this chain.",
    "SessionMayOnlyGrow": "This key is open already, for more or for longer. A cap and an end can only be raised.",
    "NoSession": "This key has no right to spend here.",
    "InvalidSessionKey": "That address cannot be a key: give the address of a key pair other than your own account.",
    "GovernorInsufficientProposerVotes": "This account has too few votes to propose. OPEN counts once it is delegated.",
    "TimelockUnexpectedOperationState": "It still waits in the timelock. Try again when that has run out.",
    "OutOfBounds": "That value is outside the bounds which the contract keeps, whoever asks.",
    "SignatureExpired": "The signature has run out. Sign again.",
    "InvalidSignature": "The signature is not that account's over this content. Sign again with the right account.",
    "DatanetClosed": "The datanet has been closed by its steward and takes nothing more.",
    "UnknownDatanet": "There is no such datanet on this chain.",
}


def sentence(reason: str) -> str:
    """From `NothingToClaim(account=…)` to what a person understands; the reason itself where nobody wrote one."""
    name = reason.partition("(")[0]
    return SENTENCES.get(name, f"The contract refuses: {reason}.")
