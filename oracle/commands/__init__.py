"""The commands of `openledger`, one module for each part; each is imported only when its command runs."""
