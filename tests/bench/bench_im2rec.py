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
import statistics
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, os.pardir, os.pardir)
sys.path.insert(0, ROOT)
OPTIONS = ["--resize", "256", "--quality", "90"]
# compat puts back the NumPy names the wheel's script needs, and nothing else
UPSTREAM = ("import os, runpy, sys; from mxft.compat import mx; "
            "script = os.path.join(os.path.dirname(mx.__file__), 'tools', 'im2rec.py'); "
            "sys.argv[0] = script; runpy.run_path(script, run_name='__main__')")
COMMANDS = {"upstream": ["-c", UPSTREAM], "mxft": ["-m", "mxft", "im2rec"],
            "mxft, 2 threads": ["-m", "mxft", "im2rec", "--num-thread", "2"]}


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


def unpack_testdata(scratch):
    """Unpack the shared Caltech-256 photographs and return their folder."""
    shared = os.environ.get("MXFT_TESTDATA") or os.path.join(ROOT, os.pardir, "shared")
    with tarfile.open(os.path.join(shared, "data", "caltech256-subset.tar")) as tar:
        tar.extractall(scratch, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return scratch


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
        large = large_photographs(args.folder or unpack_testdata(scratch))
        for times in (args.copies, 3 * args.copies):
            images = os.path.join(scratch, f"copied {times} times")
            os.mkdir(images)
            copy_times(large, times, images)
            show(times * len(large), bench(images, args.runs, scratch))


def show(count, results):
    """Print what `bench` measured on `count` images."""
    print(f"{count} images, {len(results['upstream'])} runs in turn")
    for name, runs in results.items():
        ratios = [theirs[0] / ours[0] for theirs, ours in zip(results["upstream"], runs)]
        print(f"  {name:16} {statistics.median(count / cpu for cpu, _ in runs):6.0f} images/CPU s   "
              f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})   "
              f"peak {max(mb for _, mb in runs):.0f} MB")


if __name__ == "__main__":
    main()
