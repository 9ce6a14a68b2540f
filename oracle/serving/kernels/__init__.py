"""The ladder of kernels behind one interface: reference, baddbmm, native CPU, Triton."""
