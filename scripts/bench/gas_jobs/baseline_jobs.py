"""The same jobs on the baselines, in the same run: contracts/baselines, put together from OpenZeppelin's parts.

Figures bear the names of the suite's figures that they stand against.
"""

from __future__ import annotations

from .chain import Chain, Contract
from .deployed import ATTESTORS, OPEN, SIGNERS, Measured, Person
from .reward_jobs import PUSHED, Rewards
from .reward_tree import keccak
from .use_jobs import BATCH, CONTRIBUTIONS, DAY, NEVER, TRAINING_ROW


class Domain:
    """EIP-712 digests of one baseline, which has none to ask for them."""

    def __init__(self, contract: Contract, name: str):
        kind = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        chain_id = int(contract.chain.request("eth_chainId"), 16)
        fields = [kind, keccak(name.encode()), keccak(b"1"), chain_id, bytes.fromhex(contract.address[2:])]
        self._separator = keccak(words(*fields))

    def digest(self, kind: bytes, *fields: bytes | int) -> bytes:
        return keccak(b"\x19\x01" + self._separator + keccak(words(kind, *fields)))


def words(*fields: bytes | int) -> bytes:
    """Numbers, addresses and words as abi.encode lays them out."""
    return b"".join(f.to_bytes(32, "big") if isinstance(f, int) else f.rjust(32, b"\0") for f in fields)


def measure_baselines(chain: Chain, seed: int, measured: Measured, rewards: Rewards) -> None:
    holder, stranger = Person(seed, "holder").address, Person(seed, "stranger").address
    token, _ = chain.deploy(holder, "BaselineToken", holder)
    _measure_transfer(token, seed, holder, measured)
    _measure_claims(chain, token, holder, stranger, measured, rewards)
    _measure_votes(chain, seed, stranger, measured, rewards)
    _measure_files(chain, seed, stranger, measured)
    _measure_escrow(chain, token, seed, holder, measured)


def _measure_transfer(token: Contract, seed: int, holder: str, measured: Measured) -> None:
    sender, recipient = Person(seed, "contributor").address, Person(seed, "recipient").address
    token.send(holder, "transfer", sender, 10 * OPEN)
    measured.add("transfer_first", token.send(sender, "transfer", recipient, OPEN))
    measured.add("transfer", token.send(sender, "transfer", recipient, OPEN))
    measured.add("approve", token.send(sender, "approve", recipient, OPEN))
    measured.add("delegate", token.send(sender, "delegate", sender))


def _measure_claims(
    chain: Chain, token: Contract, holder: str, stranger: str, measured: Measured, rewards: Rewards
) -> None:
    distributor, _ = chain.deploy(holder, "BaselineDistributor", token.address, holder)
    token.send(holder, "transfer", distributor.address, rewards.epochs[-1].total)
    for epoch, times in zip(rewards.epochs, ("first", "repeat")):
        distributor.send(holder, "setRoot", epoch.root)
        for leaf in epoch.claims:
            gas = distributor.send(stranger, "claim", leaf.account, leaf.cumulative, leaf.proof)
            measured.add(f"claim_{times}_1m", gas)
        for leaves, _ in epoch.subtrees:
            claims = [(leaf.account, leaf.cumulative, leaf.proof) for leaf in leaves]
            measured.add(f"push64_{times}", distributor.send(stranger, "claimMany", claims), PUSHED)


def _measure_votes(chain: Chain, seed: int, stranger: str, measured: Measured, rewards: Rewards) -> None:
    members = [Person(seed, f"signer {number}") for number in range(ATTESTORS)]
    guardian = Person(seed, "guardian").address
    fields = ([member.address for member in members], SIGNERS, DAY, guardian)
    poster, _ = chain.deploy(stranger, "BaselineRootPoster", *fields)
    domain, kind = Domain(poster, "BaselineRootPoster"), bytes(poster.read("VOTE_TYPEHASH"))
    for number, epoch in enumerate(rewards.epochs, start=1):
        content = keccak(b"batch %d" % number)
        digest = domain.digest(kind, epoch.root, number, epoch.total, content)
        gas = sum(
            poster.send(stranger, "vote", epoch.root, number, epoch.total, content, member.sign(digest))
            for member in members[:SIGNERS]
        )
        measured.add("submit_first" if number == 1 else "post_root_3of5", gas)
    measured.add("veto", poster.send(guardian, "veto", len(rewards.epochs)))


def _measure_files(chain: Chain, seed: int, stranger: str, measured: Measured) -> None:
    registry, _ = chain.deploy(stranger, "BaselineRegistry")
    registry.send(stranger, "createDatanet")
    contributor = Person(seed, "contributor").address
    for number in range(CONTRIBUTIONS + 1):
        rows, manifest = keccak(b"rows %d" % number), keccak(b"manifest %d" % number)
        gas = registry.send(contributor, "contribute", 1, TRAINING_ROW, rows, 1_000 + number, manifest)
        measured.add("contribute" if number else "contribute_first", gas)

    domain, kind = Domain(registry, "BaselineRegistry"), bytes(registry.read("FILE_TYPEHASH"))
    deadline = chain.now + DAY
    files = []
    for number in range(BATCH):
        person = Person(seed, f"signing contributor {number}")
        rows, manifest, count = keccak(b"signed %d" % number), keccak(b"signed manifest %d" % number), 500 + number
        digest = domain.digest(kind, person.account, 1, TRAINING_ROW, rows, count, manifest, deadline)
        files.append((person.address, TRAINING_ROW, rows, count, manifest, deadline, person.sign(digest)))
    measured.add("relay100_each", registry.send(stranger, "contributeMany", 1, files), BATCH)


def _measure_escrow(chain: Chain, token: Contract, seed: int, holder: str, measured: Measured) -> None:
    notice = 3 * DAY
    escrow, _ = chain.deploy(holder, "BaselineEscrow", token.address, Person(seed, "reserve").address, notice)
    domain, kind = Domain(escrow, "BaselineEscrow"), bytes(escrow.read("VOUCHER_TYPEHASH"))
    relayer = Person(seed, "relayer").address
    payers = [Person(seed, f"payer {number}") for number in range(BATCH)]

    def voucher(payer: Person, cumulative: int) -> tuple[str, int, int, bytes]:
        digest = domain.digest(kind, payer.account, cumulative, NEVER)
        return (payer.address, cumulative, NEVER, payer.sign(digest))

    # The reserve of the suite is not empty when vouchers are settled, so this one must not be either.
    token.send(holder, "transfer", Person(seed, "reserve").address, OPEN)
    token.send(holder, "approve", escrow.address, 1_000 * BATCH * OPEN)
    for payer in payers:
        escrow.send(holder, "depositFor", payer.address, 100 * OPEN)
    for round_, figure in enumerate(("settle100_first_each", "settle100_each"), start=1):
        vouchers = [voucher(payer, round_ * 10 * OPEN + n) for n, payer in enumerate(payers)]
        measured.add(figure, escrow.send(relayer, "settleMany", vouchers), BATCH)
    measured.add("settle_one", escrow.send(relayer, "settle", voucher(payers[0], 25 * OPEN)))

    depositor = Person(seed, "depositor").address
    token.send(holder, "transfer", depositor, 100 * OPEN)
    token.send(depositor, "approve", escrow.address, 50 * OPEN)
    measured.add("deposit", escrow.send(depositor, "deposit", 50 * OPEN))
    measured.add("request_withdrawal", escrow.send(depositor, "requestWithdrawal", 20 * OPEN))
    chain.advance(notice)
    measured.add("withdraw", escrow.send(depositor, "withdraw"))
