"""What `scripts/bench/api.py` is made of: a server in a process of its own, and consumers that pay it."""
