"""What the oracle knows: tables with their migrations, and content-addressed blobs.

A module here owns its tables: their columns, the frozen records that leave it, the questions asked of them and the
changes of state they allow. Who computes lives above and passes records in.
"""
