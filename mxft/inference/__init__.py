"""Inference: the fused executor, its streams on a CPU, and the kernels oneDNN is brought to choose."""
from mxft.inference.executor import InferenceExecutor

__all__ = ["InferenceExecutor"]
