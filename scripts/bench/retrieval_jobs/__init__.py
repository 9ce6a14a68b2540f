"""Parts of the benchmark of retrieval: documents and questions with a known truth, and a store that holds them."""
