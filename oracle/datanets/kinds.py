"""What can be contributed, and the form that each kind of row has once it is normalised."""

from __future__ import annotations

from enum import Enum, IntEnum


class Kind(IntEnum):
    """The registry's own enumeration; the numbers are on the chain."""

    TRAINING_ROW = 0
    DOCUMENT = 1
    CORRECTION = 2
    REVIEW = 3
    EVALUATION_ITEM = 4

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


KIND_BY_WORD = {kind.word: kind for kind in Kind}


class Shape(Enum):
    """How rows look in files as people have them."""

    PROMPT_COMPLETION = "prompt-completion"
    MESSAGES = "messages"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    DOCUMENT = "document"
    CORRECTION = "correction"
    REVIEW = "review"
    EVALUATION = "evaluation"
