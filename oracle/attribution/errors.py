"""What attribution refuses. None of it is ever answered with a score of zero."""

from __future__ import annotations

from oracle.errors import NeedsPerson, Stop


class AttributionError(NeedsPerson):
    """Whatever attribution itself refuses."""


class WrongAdapter(AttributionError):
    """The index was made for other weights than those that gave the answer."""


class MissingShard(AttributionError):
    """A file of the index is not there."""


class CorruptShard(AttributionError):
    """A file of the index is not what was written: its digest or its shape differs."""


class UnknownContributor(AttributionError):
    """Somebody is named who has no row in the index."""


class NotFinite(Stop):
    """A gradient or a score is NaN or infinite: whatever follows from it would be paid out."""


class QueryTooLong(AttributionError):
    """The question and its answer do not fit the model's context."""


class NothingRecorded(AttributionError):
    """No row passed the recorder while a checkpoint was open, or fewer than the plan says."""


class NoLoraLayers(AttributionError):
    """The model has no LoRA layer that could be recorded."""
