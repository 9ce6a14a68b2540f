"""OpenLedger's oracle: it serves models, finds whose rows shaped each answer, and settles what they earned."""

__version__ = "0.1.0"
