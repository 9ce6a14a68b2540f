"""Text that nobody wrote for this datanet: what web pages and assistants put around theirs.

A phrase is looked for only in rows that hold its rarest word; rows are words already when this is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from oracle.datanets.wordlists import WordList
from oracle.datanets.words import Split

# phrase → its rarest word
PHRASES = {
    "lorem ipsum dolor": "lorem",
    "as an ai language model": "ai",
    "as a large language model": "large",
    "i'm sorry, but i cannot assist": "sorry",
    "i cannot fulfill that request": "fulfill",
    "all rights reserved": "reserved",
    "click here to": "click",
    "subscribe to our newsletter": "newsletter",
    "sign up for our newsletter": "newsletter",
    "accept all cookies": "cookies",
    "we use cookies": "cookies",
    "this website uses cookies": "cookies",
    "terms of service apply": "terms",
    "enable javascript": "javascript",
    "javascript is disabled": "javascript",
    "share on facebook": "facebook",
    "follow us on": "follow",
    "add to cart": "cart",
    "regenerate response": "regenerate",
    "skip to main content": "skip",
    "your browser does not support": "browser",
}
_RAREST = WordList(PHRASES.values())
_BY_WORD = [[phrase for phrase, rarest in PHRASES.items() if rarest == word] for word in _RAREST.words]


def boilerplate_in(split: Split, texts: Sequence[str]) -> dict[int, str]:
    """The first phrase of each row that has one."""
    found: dict[int, str] = {}
    places, words = _RAREST.find(split.words)
    for row, word in zip(split.rows[places].tolist(), words.tolist()):
        if row not in found:
            text = texts[row].lower()
            phrase = next((phrase for phrase in _BY_WORD[word] if phrase in text), None)
            if phrase is not None:
                found[row] = phrase
    return found
