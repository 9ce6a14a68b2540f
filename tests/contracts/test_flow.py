"""One row all the way to a claim: the demonstration, and the sum at its end to the wei."""

import suite_play


def test_loop__from_two_contributions_to_every_claim__then_what_was_paid_is_what_was_received(tmp_path):
    received = suite_play.play(tmp_path, say=lambda _: None)
    assert sum(received.values()) == suite_play.FEE
    assert received["author"] > received["relayed_author"] > 0
    assert received["builder"] == suite_play.FEE * 2_000 // 10_000
