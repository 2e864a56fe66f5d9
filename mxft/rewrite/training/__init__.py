"""Exact rewrites for training, one pass a file; `passes` has the table of them."""
from mxft.rewrite.training.passes import PASSES, rewrite_for_training

__all__ = ["PASSES", "rewrite_for_training"]
