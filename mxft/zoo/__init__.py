"""Names to verified files in a cache: the ImageNet checkpoints and data sets of MXNet's tutorial and examples.

Each kind of source has a file with its table and its way of getting a row; this is the small surface others use.
"""
from mxft.zoo.cache import cache_folder
from mxft.zoo.datasets import Dataset
from mxft.zoo.getting import cached, get_dataset, get_model
from mxft.zoo.names import find, find_dataset, find_model

__all__ = ["Dataset", "cache_folder", "cached", "find", "find_dataset", "find_model", "get_dataset", "get_model"]
