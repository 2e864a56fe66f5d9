"""Print the mxnet and the CUDA packages of one extra of the installed mxft, whatever Python: for `--no-deps`."""
import importlib.metadata
import re
import sys

wanted = re.compile(f"(mxnet|nvidia-).*extra == [\"']{re.escape(sys.argv[1])}[\"']")
print(*[line.split(";")[0].strip() for line in importlib.metadata.requires("mxft") if wanted.match(line)])
