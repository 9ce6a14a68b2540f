"""Texts that grow: pieces make the whole, stop sequences never show, half characters wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from oracle.daemon.texts import Unfolding, Words


def by_bytes() -> Words:
    """A token for each byte: most characters outside of ASCII take several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return Words(made, "", {}, (), 100)


WORDS = by_bytes()


@given(st.text(max_size=40))
def test_unfolding__of_any_text__then_the_pieces_make_it_and_none_is_broken(text: str) -> None:
    growing = Unfolding(WORDS)
    pieces = [growing.add(token) for token in WORDS.encode(text)]
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
    assert "".join([*pieces, growing.end()]) == text == growing.text


@given(st.text("abc ", max_size=60), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_unfolding__with_stop_sequences__then_the_text_ends_before_the_first_and_shows_none(
    text: str, stops: list[str]
) -> None:
    growing = Unfolding(WORDS, tuple(stops))
    shown = ""
    for token in WORDS.encode(text):
        shown += growing.add(token)
        if growing.stopped:
            break
    shown += growing.end()
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert shown == text and not growing.stopped
        return
    seen = text[: min(ends)]  # what had come when the first was whole
    assert growing.stopped and shown == seen[: min(place for stop in stops if (place := seen.find(stop)) >= 0)]
