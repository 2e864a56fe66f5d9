"""Names to verified files in a cache: checkpoints of MXNet, GluonCV, insightface and timm, and the tutorial's data.

Each kind of source has a file with its table and its way of getting a row; this is the small surface others use.
"""
from mxft.zoo.cache import cache_folder
from mxft.zoo.datasets import Dataset
from mxft.zoo.getting import cached, cached_model, get_dataset, get_model
from mxft.zoo.names import find, find_dataset, find_model, is_name, rows

__all__ = ["Dataset", "cache_folder", "cached", "cached_model", "find", "find_dataset", "find_model", "get_dataset",
           "get_model", "is_name", "rows"]
