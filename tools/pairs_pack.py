#!/usr/bin/env python3
"""Pack a verification set: the same as ``mxft pairs-pack``."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir))  # works from a checkout
from mxft.cli import run_verb  # noqa: E402

sys.exit(run_verb("pairs-pack"))
