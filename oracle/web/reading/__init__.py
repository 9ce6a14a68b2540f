"""What pages need of the store and would otherwise ask in many places."""
