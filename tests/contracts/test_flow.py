"""One row all the way to a claim: the demonstration, and the sum at its end to the wei."""

import demo


def test_loop__from_two_contributions_to_every_claim__then_what_was_paid_is_what_was_received(tmp_path):
    received = demo.play(tmp_path, say=lambda _: None)
    assert sum(received.values()) == demo.FEE
    assert received["author"] > received["relayed_author"] > 0
    assert received["builder"] == demo.FEE * 2_000 // 10_000
