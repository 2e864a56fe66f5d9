"""Exact rewrites for inference, one pass a file; `passes` has the table of them."""
from mxft.rewrite.inference.passes import CURES, PASSES, rewrite_for_inference

__all__ = ["CURES", "PASSES", "rewrite_for_inference"]
