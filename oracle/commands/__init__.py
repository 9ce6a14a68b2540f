"""The bodies of the commands, one module per kind of person."""
