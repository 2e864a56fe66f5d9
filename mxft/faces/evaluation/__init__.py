"""Embeddings, pairs and identities to numbers."""
