"""What the tests of serving share: a tiny base and adapters that PEFT saved."""

from fixtures.serving import _one_thread, adapters, base, engine

__all__ = ["_one_thread", "adapters", "base", "engine"]
