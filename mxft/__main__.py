"""``python -m mxft``: the same as the ``mxft`` command."""
import sys

from mxft.cli import main

sys.exit(main())
