"""OpenLoRA: one base model, very many adapters, batched together and loaded on demand.

Plain PyTorch and transformers. It runs alone on a bare machine and knows no daemon, database or chain.
"""
