"""Every benchmark with its defaults, one after another, and one table of all: two things measured in turn in one run.

    python tests/bench/bench.py [NAME ...]

A name is that of a script without ``bench_`` and ``.py``; none means all of them. A script that lacks its data or a
library says so and is left out of the table.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from turns import ROWS, table


def main():
    """Run the scripts and print the table."""
    here = pathlib.Path(__file__).parent
    scripts = {path.stem[len("bench_"):]: path for path in sorted(here.glob("bench_*.py"))}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(scripts)}")
    names = p.parse_args().names or list(scripts)
    for name in names:
        if name not in scripts:
            p.error(f"expected one of {', '.join(scripts)}, received {name!r}")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        rows = os.path.join(scratch, "rows")
        open(rows, "w").close()
        for name in names:
            print(f"== {name}", flush=True)
            if subprocess.run([sys.executable, str(scripts[name])], env={**os.environ, ROWS: rows}).returncode:
                failed.append(name)
        print(f"\n{table(rows)}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
