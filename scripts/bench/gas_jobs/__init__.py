"""The parts of the gas benchmark: the chain, the tree, the jobs of the suite and of the baselines, the targets."""
