"""Parts of the benchmark of datanets: texts with a known truth, edits, and what is measured."""
