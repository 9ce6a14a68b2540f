"""From receipts to a root that anyone can recompute, and money that arrives once."""
