"""What each figure stands for, what it must not exceed, and what is known of others who do the same job."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """One row of the report.

    :param figure: gas of one receipt, or a batch's receipt divided by its size.
    :param baseline: what it is measured against in the same run; empty where nothing does the same job.
    :param elsewhere: gas of other systems as they are known, not measured here.
    """

    figure: str
    says: str
    baseline: str = ""
    target: int | None = None
    elsewhere: dict[str, str] = field(default_factory=dict)


TOKEN = "BaselineToken"
DISTRIBUTOR = "BaselineDistributor"
POSTER = "BaselineRootPoster, 3 votes in 3 transactions"
REGISTRY = "BaselineRegistry"
ESCROW = "BaselineEscrow"

JOBS: tuple[Job, ...] = (
    Job(
        "claim_first_1m",
        "first claim of an account, proof of 20 nodes",
        DISTRIBUTOR,
        71_500,
        {"1inch cumulative drop": "95,700", "EigenLayer": "126,000", "Morpho URD": "99,500"},
    ),
    Job(
        "claim_repeat_1m",
        "later claim of the account, proof of 20 nodes",
        DISTRIBUTOR,
        54_500,
        {"1inch cumulative drop": "61,500", "EigenLayer": "92,000", "Morpho URD": "65,200"},
    ),
    Job("claim_to", "first claim to another recipient, by signature"),
    Job(
        "push64_first",
        "first push to 64 accounts, per account",
        f"{DISTRIBUTOR}, 64 proofs in one call",
        26_500,
        {"EigenLayer": "64,700"},
    ),
    Job(
        "push64_repeat",
        "later push to 64 accounts, per account",
        f"{DISTRIBUTOR}, 64 proofs in one call",
        9_200,
        {"EigenLayer": "47,600"},
    ),
    Job(
        "post_root_3of5",
        "post a root signed by 3 of 5",
        POSTER,
        85_000,
        {"Lido": "566,000 in 4 transactions", "UMA": "190,000 + 63,000"},
    ),
    Job("submit_first", "post the first root of all", POSTER),
    Job("veto", "the guardian stops a pending root", "BaselineRootPoster", 30_000),
    Job("challenge", "anybody stops a pending root against a bond"),
    Job("refill", "fill the reward pool, once an epoch"),
    Job(
        "contribute",
        "contribute any number of rows",
        REGISTRY,
        52_000,
        {"Vana": "205,000", "EAS": "200,000 / 208,000"},
    ),
    Job("contribute_first", "the first contribution of a datanet", REGISTRY),
    Job("relay100_each", "100 signed contributions relayed, each", REGISTRY, 8_000),
    Job("settle100_each", "100 vouchers settled, each", ESCROW, 18_000),
    Job("settle100_first_each", "100 consumers' first vouchers, each", ESCROW),
    Job("settle100_session_first_each", "100 first vouchers of session keys, each"),
    Job("settle100_session_each", "100 later vouchers of session keys, each"),
    Job("settle_one", "one voucher settled alone", ESCROW),
    Job("transfer", "transfer to an account that holds the token", TOKEN, 35_000),
    Job("transfer_first", "transfer to an account that holds none", TOKEN),
    Job("approve", "approve a spender", TOKEN),
    Job("delegate", "delegate one's votes to oneself", TOKEN),
    Job("deposit", "first deposit, after an approval of its amount", ESCROW),
    Job("request_withdrawal", "ask for a withdrawal", ESCROW),
    Job("withdraw", "withdraw after the notice", ESCROW),
    Job("open_session", "open a session key"),
    Job("create_datanet", "create a datanet with one reviewer and its bond"),
    Job("publish_snapshot", "publish the first snapshot of a datanet"),
    Job("register_model", "register a model"),
    Job("publish_model", "publish an adapter: one parent, one snapshot"),
    Job("join_attestor", "take an attestor's seat with its bond"),
    Job("deploy_suite", "deploy all contracts, sum of the receipts"),
)
