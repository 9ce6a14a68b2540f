"""A small client: signs vouchers and spending caps, checks quotes and receipts. Needs no daemon, and no model."""
