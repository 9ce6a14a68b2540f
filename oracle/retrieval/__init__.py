"""Retrieval: documents of datanets that a model looks up while it answers, and the record of what it looked at.

Nothing here imports torch but `encoding`, and that only when an encoder is opened: the API reads BM25 alone, or has its
questions encoded by a process apart.
"""
