"""What the factory refuses."""

from __future__ import annotations

from oracle.errors import NeedsPerson


class FactoryError(NeedsPerson):
    """Somebody has to change the recipe, the data or the machine."""


class BadRecipe(FactoryError):
    """The recipe contradicts itself or names what is not there; the message names every fault."""


class BadSnapshot(FactoryError):
    """A snapshot is empty, torn, or not the one whose root is on chain."""


class BadBase(FactoryError):
    """The base cannot be opened, or is none that adapters can be trained on."""


class Licences(FactoryError):
    """What is combined may not be combined."""


class Diverged(FactoryError):
    """The loss is no number any more."""


class TooLarge(FactoryError):
    """Not even one row at a time fits into memory."""


class DiskFull(FactoryError):
    """What had to be saved could not be written whole; nothing half-written is left."""


class OtherRun(FactoryError):
    """The folder holds a run of another recipe."""


class BadSuite(FactoryError):
    """A suite of the evaluation is missing or cannot be run."""


class NoGo(FactoryError):
    """The gate has not let the adapter through."""


class BadBundle(FactoryError):
    """Files of a published model are missing, or are not those of its manifest."""
