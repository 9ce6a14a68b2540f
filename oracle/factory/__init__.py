"""ModelFactory: from a snapshot of a datanet to an adapter that is proven better than its base.

Plain PyTorch, transformers and PEFT: it needs neither chain nor database nor queue.
"""
