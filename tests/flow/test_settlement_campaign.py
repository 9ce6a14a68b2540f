"""Six seeds of the campaign: kills, node faults, reorgs, vetoes, restored backups. A nightly run plays 200."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import campaign_settlement as campaign


@pytest.mark.parametrize("seed", range(1, 7))
def test_campaign__of_one_seed__then_money_arrives_once_and_to_the_wei(seed: int) -> None:
    logging.getLogger("oracle").setLevel(logging.CRITICAL)
    try:
        happened = campaign.run(seed)
        assert happened["killed"] > 0 and happened["adopted"] > 0
    finally:
        logging.getLogger("oracle").setLevel(logging.NOTSET)
