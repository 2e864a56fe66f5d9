#!/usr/bin/env python3
"""From a checkout, without installing: the same as ``mxft predict``."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir))  # works from a checkout
from mxft.cli import run_verb  # noqa: E402

sys.exit(run_verb("predict"))
