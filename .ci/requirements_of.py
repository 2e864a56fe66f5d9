"""Print what one extra of the installed mxft requires, whatever this Python's version: for `pip install --no-deps`."""
import importlib.metadata
import re
import sys

wanted = re.compile(f"extra == [\"']{re.escape(sys.argv[1])}[\"']")
print(*[line.split(";")[0].strip() for line in importlib.metadata.requires("mxft") if wanted.search(line)])
