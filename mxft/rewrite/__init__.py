"""Exact graph rewrites, for speed and for known crashes; what is saved stays the user's graph.

Each pass takes a symbol and returns one that computes the same from the same parameters.
"""
from mxft.rewrite.inference.flatten import flatten_before_fully_connected
from mxft.rewrite.inference.passes import rewrite_for_inference
from mxft.rewrite.prelu import prelu_for_inference, prelu_for_training
from mxft.rewrite.training.passes import rewrite_for_training

__all__ = ["flatten_before_fully_connected", "prelu_for_inference", "prelu_for_training", "rewrite_for_inference",
           "rewrite_for_training"]
