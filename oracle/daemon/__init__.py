"""What keeps the oracle running: steps and rounds of work, the processes that do them, and how to see if it is well."""
