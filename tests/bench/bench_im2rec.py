"""Images packed for a second of CPU: mxft against the im2rec.py inside the MXNet wheel, run in turn.

    python tests/bench/bench_im2rec.py [FOLDER] [--runs 5] [--copies 3]

Without a folder it takes the Caltech-256 photographs of ../shared or $MXFT_TESTDATA; of either, those whose shorter
side is 512 pixels or more. CPU time is user plus system of the whole process, imports included, so the ratio grows
with fewer images: on two cores it was 3.1 with 357 images and 2.2 with 1071, and 1.5 for the images alone. Memory is
the process's peak. Both pack the same list with --resize 256 --quality 90.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from turns import ROOT, show, unpack

OPTIONS = ["--resize", "256", "--quality", "90"]
# compat puts back the NumPy names the wheel's script needs, and nothing else
UPSTREAM = ("import os, runpy, sys; from mxft.compat import mx; "
            "script = os.path.join(os.path.dirname(mx.__file__), 'tools', 'im2rec.py'); "
            "sys.argv[0] = script; runpy.run_path(script, run_name='__main__')")
COMMANDS = {"the wheel's im2rec.py": ["-c", UPSTREAM], "mxft": ["-m", "mxft", "im2rec"]}


def measure(command, prefix, folder):
    """Run one packer and return (CPU seconds, peak resident MB)."""
    process = subprocess.Popen([sys.executable, *command, *OPTIONS, prefix, folder], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status or not os.path.getsize(prefix + ".rec"):
        raise SystemExit(f"{command} failed:\n{said.decode()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def large_photographs(folder):
    """Return the paths of the JPEG files under `folder` whose shorter side is 512 pixels or more."""
    from mxft.data.images import inspect
    large = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.jp*g"), recursive=True)):
        with open(path, "rb") as f:
            if min(inspect(f.read())[1:3]) >= 512:
                large.append(path)
    return large


def copy_times(paths, count, into):
    """Fill the folder `into` with `count` copies of each file."""
    for i in range(count):
        for path in paths:
            shutil.copy(path, os.path.join(into, f"{i}_{os.path.basename(path)}"))


def bench(folder, runs, scratch):
    """Return {command: [(CPU seconds, MB), …]} of packing `folder`, the commands taking turns."""
    prefix = os.path.join(scratch, "bench")
    subprocess.run([sys.executable, "-m", "mxft", "im2rec", "--list", prefix, folder], check=True,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, PYTHONPATH=ROOT))
    results = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            results[name].append(measure(command, prefix, folder))
    return results


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", help="with photographs, also deeper down")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--copies", type=int, default=3,
                   help="copies of each photograph in the smaller run; the larger has three times as many")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        large = large_photographs(args.folder or unpack("caltech256-subset.tar", scratch))
        for times in (args.copies, 3 * args.copies):
            images = os.path.join(scratch, f"copied {times} times")
            os.mkdir(images)
            copy_times(large, times, images)
            results = bench(images, args.runs, scratch)
            count = times * len(large)
            show(f"packing {count} images, CPU time", "images/s",
                 {name: [count / cpu for cpu, _ in runs] for name, runs in results.items()},
                 "mxft", {name: f"peak {max(mb for _, mb in runs):.0f} MB" for name, runs in results.items()})


if __name__ == "__main__":
    main()
