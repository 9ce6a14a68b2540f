"""The table of costs: arithmetic, and that docs/deployment.md shows what the measured figures give."""

import json
from decimal import Decimal

import pytest

import costs

FIGURES = dict.fromkeys(costs.OPERATIONS, 1000000)


def test_document__when_figures_are_measured_or_not__then_its_table_is_theirs():
    document = costs.DOCUMENT.read_text(encoding="utf-8")
    assert costs.with_section(document, costs.section()) == document, "python scripts/costs.py --write"


def test_table__when_prices_are_given__then_each_cost_is_gas_times_both_prices():
    rows = costs.table({**FIGURES, "transfer": 40_000}, [Decimal("0.5"), Decimal(20)], Decimal(2_500)).splitlines()
    assert "| Operation | Gas | 0.5 gwei | 20 gwei |" in rows
    assert "| Transfer of OPEN | 40,000 | $0.05000 | $2.00 |" in rows
    assert "| Veto of a root | 1,000,000 | $1.25 | $50.00 |" in rows


def test_table__when_a_figure_is_missing__then_it_is_named():
    with pytest.raises(SystemExit, match="lacks transfer, veto"):
        costs.table({name: 1 for name in costs.OPERATIONS if name not in ("transfer", "veto")})


def test_section__when_nothing_was_measured__then_it_says_so(tmp_path):
    assert costs.section(tmp_path / "gas.json") == costs.NOT_MEASURED
    (tmp_path / "gas.json").write_text(json.dumps({"figures": FIGURES}))
    assert costs.section(tmp_path / "gas.json") == costs.table(FIGURES)


def test_command__when_other_prices_are_asked__then_they_are_used(tmp_path, monkeypatch, capsys):
    (tmp_path / "gas.json").write_text(json.dumps({"figures": FIGURES}))
    monkeypatch.setattr(
        "sys.argv", ["costs.py", "--figures", str(tmp_path / "gas.json"), "--gwei", "3", "--ether", "1000"]
    )
    costs.main()
    assert capsys.readouterr().out.strip() == costs.table(FIGURES, [Decimal(3)], Decimal(1_000))
