"""Everything else that somebody pays for: tokens, deposits, vouchers, datanets, contributions, models."""

from __future__ import annotations

from .deployed import OPEN, Deployed, Person
from .reward_tree import keccak

BATCH = 100
CONTRIBUTIONS = 9
TRAINING_ROW = 0
NEVER = 2**40 - 1
DAY = 86_400
Voucher = tuple[str, str, int, int, bytes]


def measure_use(deployed: Deployed) -> None:
    _measure_token(deployed)
    _measure_settlement(deployed)
    _measure_withdrawal(deployed)
    snapshot = _measure_datanet(deployed)
    _measure_models(deployed, snapshot)


def _measure_token(deployed: Deployed) -> None:
    token, people, add = deployed.parts.token, deployed.people, deployed.measured.add
    deployed.fund(people.contributor, 10 * OPEN)
    add("transfer_first", token.send(people.contributor.address, "transfer", people.recipient.address, OPEN))
    add("transfer", token.send(people.contributor.address, "transfer", people.recipient.address, OPEN))
    add("approve", deployed.approve(people.contributor, deployed.parts.escrow, OPEN))
    add("delegate", token.send(people.contributor.address, "delegate", people.contributor.address))


def _voucher(deployed: Deployed, consumer: Person, key: Person, cumulative: int) -> Voucher:
    digest = deployed.parts.escrow.read("voucherDigest", consumer.address, key.address, cumulative, NEVER)
    return (consumer.address, key.address, cumulative, NEVER, key.sign(digest))


def _measure_settlement(deployed: Deployed) -> None:
    """The first vouchers of a hundred consumers, their second, and the first and second of a session key of each."""
    escrow, people, add = deployed.parts.escrow, deployed.people, deployed.measured.add
    consumers, sessions = deployed.crowd("payer", BATCH), deployed.crowd("session", BATCH)
    deployed.approve(people.holder, escrow, 1_000 * BATCH * OPEN)
    expiry = deployed.chain.now + 365 * DAY
    for consumer, key in zip(consumers, sessions):
        escrow.send(people.holder.address, "depositFor", consumer.address, 100 * OPEN)
        add("open_session", escrow.send(consumer.address, "openSession", key.address, 50 * OPEN, expiry))

    for round_, figure in enumerate(("settle100_first_each", "settle100_each"), start=1):
        vouchers = [_voucher(deployed, one, one, round_ * 10 * OPEN + n) for n, one in enumerate(consumers)]
        gas = escrow.send(people.relayer.address, "settle", keccak(b"lane %d" % round_), vouchers)
        add(figure, gas, BATCH)
    for round_, figure in enumerate(("settle100_session_first_each", "settle100_session_each"), start=1):
        pairs = zip(consumers, sessions)
        vouchers = [_voucher(deployed, one, key, round_ * 10 * OPEN + n) for n, (one, key) in enumerate(pairs)]
        gas = escrow.send(people.relayer.address, "settle", keccak(b"session %d" % round_), vouchers)
        add(figure, gas, BATCH)
    alone = [_voucher(deployed, consumers[0], consumers[0], 25 * OPEN)]
    add("settle_one", escrow.send(people.relayer.address, "settle", keccak(b"alone"), alone))


def _measure_withdrawal(deployed: Deployed) -> None:
    escrow, add = deployed.parts.escrow, deployed.measured.add
    depositor = Person(deployed.seed, "depositor")
    deployed.fund(depositor, 100 * OPEN)
    deployed.approve(depositor, escrow, 50 * OPEN)
    add("deposit", escrow.send(depositor.address, "deposit", 50 * OPEN))
    add("request_withdrawal", escrow.send(depositor.address, "requestWithdrawal", 20 * OPEN))
    deployed.chain.advance(deployed.parameters["escrow"]["notice"])
    add("withdraw", escrow.send(depositor.address, "withdraw", depositor.address))


def _measure_datanet(deployed: Deployed) -> tuple[int, int]:
    """A datanet from its creation to its first snapshot. Answers (datanet, version)."""
    datanets, people, add = deployed.parts.datanets, deployed.people, deployed.measured.add
    bond = deployed.parameters["datanets"]["min_datanet_bond"] * OPEN
    steward = people.steward
    deployed.fund(steward, 2 * bond)
    deployed.approve(steward, datanets, bond)
    names = ("Everyday questions", "CC-BY-4.0", "text/instruction")
    fields = (keccak(b"policy"), *names, [steward.address], 1, bond)
    add("create_datanet", datanets.send(steward.address, "createDatanet", *fields))
    datanet = datanets.read("datanetCount")

    for number in range(CONTRIBUTIONS + 1):
        rows, manifest = keccak(b"rows %d" % number), keccak(b"manifest %d" % number)
        fields = (datanet, TRAINING_ROW, rows, 1_000 + number, manifest)
        gas = datanets.send(people.contributor.address, "contribute", *fields)
        add("contribute" if number else "contribute_first", gas)

    add("relay100_each", _relay(deployed, datanet), BATCH)
    root, manifest = keccak(b"snapshot"), keccak(b"snapshot manifest")
    fields = (datanet, root, 10_000, manifest, datanets.read("accumulatorOf", datanet))
    add("publish_snapshot", datanets.send(steward.address, "publishSnapshot", *fields))
    return datanet, 1


def _relay(deployed: Deployed, datanet: int) -> int:
    datanets = deployed.parts.datanets
    deadline = deployed.chain.now + DAY
    items = []
    for number, person in enumerate(deployed.crowd("signing contributor", BATCH)):
        rows, manifest, count = keccak(b"signed %d" % number), keccak(b"signed manifest %d" % number), 500 + number
        name = datanets.read("nameOf", (person.address, datanet, TRAINING_ROW, rows, count, manifest))
        r, vs = person.compact(datanets.read("contributionDigest", name, deadline))
        head = int.from_bytes(person.account, "big") << 96 | TRAINING_ROW << 88 | count << 40 | deadline
        items.append((head, rows, manifest, r, vs))
    return datanets.send(deployed.people.relayer.address, "contributeMany", datanet, items, True)


def _measure_models(deployed: Deployed, snapshot: tuple[int, int]) -> None:
    """A base model, then an adapter with that one parent and that one snapshot."""
    models, builder, add = deployed.parts.models, deployed.people.builder.address, deployed.measured.add
    hashes = tuple(keccak(b"artifact %d" % number) for number in range(4))
    base_split = (7_000, 2_000, 0, 0, 500, 500)
    adapter_split = (6_000, 2_000, 1_000, 200, 300, 500)
    add("register_model", models.send(builder, "register", "base-1b", True, OPEN // 100, OPEN // 50))
    base = models.read("modelCount")
    models.send(builder, "publish", base, hashes, base_split, [], [])
    models.send(builder, "register", "everyday-adapter", False, OPEN // 100, OPEN // 50)
    adapter = models.read("modelCount")
    fields = (adapter, hashes, adapter_split, [(base, 1, 10_000)], [snapshot])
    add("publish_model", models.send(builder, "publish", *fields))
