"""A unit test opens no socket and reads no clock."""

import fixtures.chance

__all__ = ["fixtures"]
