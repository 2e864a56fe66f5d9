"""What the benchmarks share: where the data lies, contenders that take turns, and one way to show who is faster."""
import json
import os
import statistics
import sys
import tarfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
SHARED = os.environ.get("MXFT_TESTDATA") or os.path.join(ROOT, os.pardir, "shared")
ROWS = "MXFT_BENCH_ROWS"  # a file that bench.py collects every script's rows in, as lines of JSON
sys.path.insert(0, ROOT)


def shared(*parts):
    """Return the path of something in the folder of data, or end the script with exit status 0 where it is not there.

    ``shared("models", "mobilenet-v2-1.0,0")`` is a checkpoint.
    """
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path.rsplit(",", 1)[0] + ("-symbol.json" if "," in parts[-1] else "")):
        print(f"nothing measured: expected {path}, received none; set MXFT_TESTDATA")
        raise SystemExit(0)
    return path


def unpack(archive, folder):
    """Unpack a tar file of the folder of data; return `folder`."""
    with tarfile.open(shared("data", archive)) as tar:
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder


def take_turns(functions, runs, warm_up=1, tell=False):
    """Call each function in turn, `runs` times around after `warm_up` rounds that are not counted.

    Parameters
    ----------
    functions : dict of str to callable
    runs, warm_up : int
    tell : bool
        Each turn's seconds on stderr as they come.

    Returns
    -------
    seconds : dict of str to list of float
    results : dict of str to object
        What each returned last.
    """
    seconds, results = {name: [] for name in functions}, {}
    for turn in range(warm_up + runs):
        for name, function in functions.items():
            began = time.perf_counter()
            results[name] = function()
            taken = time.perf_counter() - began
            if turn >= warm_up:
                seconds[name].append(taken)
            if tell:
                print(f"  {name}: {taken:.1f} s", file=sys.stderr, flush=True)
    return seconds, results


def rates(count, seconds):
    """Return {name: [count / seconds of each turn]}."""
    return {name: [count / taken for taken in turns] for name, turns in seconds.items()}


def show(title, unit, speeds, ours, notes=None):
    """Print the speed of each contender, and by how much `ours` is faster, turn by turn.

    Parameters
    ----------
    title : str
    unit : str
        Such as ``images/s``: more is better.
    speeds : dict of str to list of float
        One for each turn.
    ours : str
    notes : dict of str to str, optional
        Behind a contender's line.
    """
    print(f"{title}, {len(speeds[ours])} runs in turn")
    rows = []
    for name, turns in speeds.items():
        line = f"  {name:34} {statistics.median(turns):9.1f} {unit}"
        if name != ours:
            ratios = [own / other for own, other in zip(speeds[ours], turns)]
            rows.append({"what": title, "ours": ours, "theirs": name, "unit": unit,
                         "ours_speed": statistics.median(speeds[ours]), "theirs_speed": statistics.median(turns),
                         "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)})
            line += f"   {ours} is {_ratio(rows[-1])} times as fast"
        print(f"{line}  {(notes or {}).get(name, '')}".rstrip(), flush=True)
    if ROWS in os.environ:
        with open(os.environ[ROWS], "a", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)


def _ratio(row):
    return f"{row['ratio']:.2f} ({row['least']:.2f} to {row['most']:.2f})"


def table(path):
    """Return the rows that scripts wrote into a file, as one Markdown table."""
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    lines = ["| what | ours | | other | | times as fast (spread) |", "|---|---|---|---|---|---|"]
    lines += [f"| {row['what']} | {row['ours']} | {row['ours_speed']:.1f} {row['unit']} | {row['theirs']} | "
              f"{row['theirs_speed']:.1f} | {_ratio(row)} |" for row in rows]
    return "\n".join(lines)
