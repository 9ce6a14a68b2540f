"""Proof of Attribution: whose rows shaped one answer, how much, and how well that is known.

Plain PyTorch: no database, no chain, no queue.
"""
