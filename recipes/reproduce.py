"""The scorecard: every published number beside what this machine measures.

    python recipes/reproduce.py
    python recipes/reproduce.py --only lfw-mobilefacenet-y1,digits
    python recipes/reproduce.py --have caltech256=256_ObjectCategories.tar \\
        --have resnet-50=resnet-50,0

published.yaml has the rows: number, source, protocol, what it needs, command. A
row is run when its data and weights are there: named by --have, in ../shared
or $MXFT_TESTDATA, or in the zoo's cache; with --download the zoo is asked. What
a row still needs is listed with the command that would get it. Nothing is
filled in that was not run.

Each run has a folder under --home and a process of its own. A row whose result
is there already, from the same command, is not run again: an interrupted
scorecard continues where it stopped. At the end reproduction.md and
reproduction.html are written.
"""
import functools
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent))

from mxft.command import run_command  # noqa: E402
from mxft.commandline.recipes import as_typed, recipe_parser  # noqa: E402
from mxft.errors import InputError, RunError, nearest  # noqa: E402

SHARED = {"caltech256-subset": "data/caltech256-subset.tar", "lfw": "data/lfw-112x112.tar",
          "lfw-pairs": "data/lfw-pairs.txt", "mobilenet-v2-1.0": "models/mobilenet-v2-1.0,0",
          "mobilefacenet-y1": "models/mobilefacenet-y1/model,0"}
ZOO = ("caltech256", "resnet-50", "resnet-152", "model-r100-ii", "model-r50-am-lfw", "model-r34-amf",
       "mobilefacenet-y1")
GET = {**{name: f"mxft zoo get {name}" for name in ZOO},
       "gpus": "a machine with NVIDIA cards of compute capability 5.0 to 8.9, and make setup DEVICE=cu112"}


def parser():
    """Return the argument parser."""
    p = recipe_parser("reproduce", __doc__)
    p.add_argument("--only", default="", metavar="ID,ID", help="rows to run (default: all)")
    p.add_argument("--have", action="append", default=[], metavar="NAME=PATH", help="data or a checkpoint, by its name")
    p.add_argument("--download", action="store_true", help="fetch what the zoo has")
    p.add_argument("--home", default=os.path.join("runs", "reproduction"), metavar="DIR",
                   help="folder for everything (default: runs/reproduction)")
    p.add_argument("--table", default=str(ROOT / "published.yaml"), metavar="FILE", help="the rows")
    p.add_argument("--list", action="store_true", help="say what could be run, and end")
    return p


def main(argv=None):
    """Find what is there, run what can be, write the scorecard."""
    args = parser().parse_args(argv)
    from mxft.files.whole import require_folder
    from mxft.report.scorecard import write_scorecard

    rows = _chosen(read_table(args.table), args.only)
    inputs = _named(args.have, rows)
    missing = {}
    for row in rows:
        found = {name: find_input(name, inputs, args.download) for name in row["needs"]}
        missing[row["id"]] = [name for name, place in found.items() if place is None]
        row["inputs"] = found
    if args.list:
        for row in rows:
            print(f"{row['id']}: {_state(missing[row['id']])}")
        return 0
    home = require_folder(args.home)
    for row in rows:
        if missing[row["id"]]:
            print(f"--- {row['id']}: not run: {_state(missing[row['id']])}", flush=True)
            row["runs"] = []
        else:
            row["runs"] = [run(row, seed, home) for seed in row.get("seeds", [0])]
    cards = [{**row, **summary(row["runs"]), "typed": typed(row, home),
              "missing": [(name, how_to_get(name)) for name in missing[row["id"]]]} for row in rows]
    for path in write_scorecard(cards, home, machine()):
        print(path)
    return 3 if any(result.get("failed") for row in rows for result in row["runs"]) else 0


def read_table(path):
    """Return the rows of a table of published numbers."""
    import yaml

    from mxft.files.whole import require_file

    with open(require_file(path, "table of published numbers"), encoding="utf-8") as f:
        rows = yaml.safe_load(f)
    for row in rows:
        lacking = [key for key in ("id", "what", "measure", "source", "protocol", "needs", "command", "result")
                   if key not in row]
        if lacking:
            raise InputError(f"table of published numbers: expected {', '.join(lacking)} in each row, received "
                             f"{row.get('id', row)} without, in {path}")
    return rows


def _chosen(rows, only):
    names = [name for name in only.split(",") if name]
    known = [row["id"] for row in rows]
    for name in names:
        if name not in known:
            raise InputError(f"--only: expected the id of a row, received {name!r}; {nearest(name, known)}")
    return [row for row in rows if not names or row["id"] in names]


def _named(have, rows):
    """Return {name: place} of --have."""
    known, named = {name for row in rows for name in row["needs"]}, {}
    for entry in have:
        name, equals, place = entry.partition("=")
        if not equals or name not in known:
            raise InputError(f"--have: expected NAME=PATH with the name of something a row needs, received {entry!r}; "
                             f"{nearest(name, known)}")
        if not exists(place):
            raise InputError(f"--have: expected something at that place, received {entry!r}")
        named[name] = place
    return named


def exists(place):
    """Whether there is a file, a folder, or a checkpoint ``prefix,epoch``."""
    prefix, comma, epoch = place.rpartition(",")
    if comma and epoch.strip().isdecimal():
        return os.path.exists(f"{prefix}-symbol.json") and os.path.exists(f"{prefix}-{int(epoch):04d}.params")
    return os.path.exists(place)


def find_input(name, named, download):
    """Return where a piece of data or a checkpoint is, None where it is not at hand."""
    from mxft import zoo

    if name in named:
        return os.path.abspath(named[name])
    if name == "gpus":
        from mxft.devices import contexts
        try:
            return str(len(contexts("0")))
        except InputError:
            return None
    shared = os.environ.get("MXFT_TESTDATA") or ROOT.parent.parent / "shared"
    if name in SHARED and exists(str(pathlib.Path(shared, SHARED[name]))):
        return str(pathlib.Path(shared, SHARED[name]))
    if name in ZOO:
        return zoo.cached(name) or (_fetched(name) if download else None)
    return None


def _fetched(name):
    from mxft import zoo

    try:
        return zoo.get_model(name) if zoo.find(name).is_checkpoint else zoo.get_dataset(name)
    except InputError as error:
        print(error, file=sys.stderr)
        return None


def how_to_get(name):
    """Return the command, or what else, that would bring something a row needs."""
    return GET.get(name, f"a copy of your own, and --have {name}=PATH")


def _state(missing):
    return "; ".join(f"{name} is missing ({how_to_get(name)})" for name in missing) or "can be run"


def run(row, seed, home):
    """Run one row with one seed, unless the same command's result stands there; return its result."""
    from mxft.files.whole import write_json
    from mxft.training.run import free_folder

    kept = os.path.join(home, f"{row['id']}-seed{seed}.json")
    names = {**row["inputs"], "seed": seed, "work": os.path.join(home, "data-cache")}
    result = _earlier(kept, row)
    if result:
        print(f"--- {row['id']}, seed {seed}: {result['value']:.4f}, from an earlier run", flush=True)
        return result
    out = free_folder(os.path.join(home, f"{row['id']}-seed{seed}"))
    words = program(filled_in(row["command"], {**names, "out": out}))
    print(f"--- {row['id']}, seed {seed}: {shlex.join(words)}", flush=True)
    began = time.time()
    with open(os.path.join(home, f"{row['id']}-seed{seed}.log"), "w", encoding="utf-8") as log:
        status = subprocess.run([sys.executable, *words], stdout=log, stderr=subprocess.STDOUT,
                                env=with_mxft_on_path()).returncode
    if status in (130, 143):
        raise KeyboardInterrupt
    found = {"failed": f"exit status {status}, see {log.name}"} if status else measured(row, out)
    result = {"command": row["command"], "inputs": row["inputs"], "seed": seed, "seconds": round(time.time() - began),
              "folder": out, "used": {name: identity(place) for name, place in row["inputs"].items()}, **found}
    write_json(kept, result)
    print(f"    {result.get('failed') or format(result['value'], '.4f')} in {result['seconds']} s", flush=True)
    return result


def program(words):
    """Return what Python is given for a row's command: a recipe's file, or ``-m mxft`` and a verb."""
    return ["-m", *words] if words[0] == "mxft" else [str(ROOT / words[0]), *words[1:]]


def with_mxft_on_path():
    """Return the environment in which a row's process finds the mxft that this recipe belongs to."""
    paths = [str(ROOT.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def typed(row, home):
    """Return a row's command to be pasted: inputs where they lie, a missing one as NAME, results in a new folder."""
    from mxft.training.run import free_folder

    seed = row.get("seeds", [0])[0]
    places = {name: place or name.upper() for name, place in row["inputs"].items()}
    words = filled_in(row["command"], {**places, "seed": seed, "work": os.path.join(home, "data-cache"),
                                       "out": free_folder(os.path.join(home, f"{row['id']}-seed{seed}"))})
    command = shlex.join(words)
    return command if words[0] == "mxft" else as_typed(f"python recipes/{command}")


def _earlier(kept, row):
    """Return what the same command gave on the same inputs, read again from its folder; None where that cannot be."""
    try:
        with open(kept, encoding="utf-8") as f:
            result = json.load(f)
        same = result["command"] == row["command"] and result["inputs"] == row["inputs"] and not result.get("failed")
        return {**result, **measured(row, result["folder"])} if same else None
    except (OSError, RunError):
        return None


def filled_in(command, names):
    """Return a row's command as words, each ``{name}`` replaced (names may hold dots, which str.format reads)."""
    words = shlex.split(command)
    for name, value in names.items():
        words = [word.replace(f"{{{name}}}", str(value)) for word in words]
    return words


@functools.cache
def identity(place):
    """Return what tells a sceptic which file it was: its name and the beginning of its SHA-256; a folder's name."""
    from mxft.files.whole import sha256
    from mxft.network.checkpoint import load_manifest, params_path, parse_model

    if os.path.isfile(place):
        return f"{os.path.basename(place)}, sha256 {sha256(place)[:16]}"
    if "," not in place:
        return os.path.basename(place)
    prefix, epoch = parse_model(place)
    source = load_manifest(prefix).get("source")
    return (f"{os.path.basename(prefix)},{epoch}, sha256 {sha256(params_path(prefix, epoch))[:16]}"
            + (f", {source}" if source else ""))


def measured(row, out):
    """Return value, spread and images/s, those there are, and the values of what a run says ``also``, from its file."""
    where = row["result"]
    with open(os.path.join(out, where["file"]), encoding="utf-8") as f:
        content = json.load(f)
    found = {name: _at(content, where[key], where["file"])
             for name, key in (("value", "path"), ("spread", "spread"), ("speed", "speed")) if key in where}
    return {**found, "also": [_at(content, number["path"], where["file"]) for number in row.get("also", ())]}


def _at(content, path, file):
    for step in path.split("."):
        try:
            content = content[int(step) if isinstance(content, list) else step]
        except (KeyError, IndexError, ValueError):
            raise RunError(f"result is not found: expected {path} in {file}, received none at {step!r}") from None
    return float(content)


def summary(results):
    """Return mean, spread, time and speed of a row's runs; why it failed where none has ended well."""
    ended = [result for result in results if "value" in result]
    if not ended:
        return {"failed": next((result["failed"] for result in results if "failed" in result), None)}
    values = [result["value"] for result in ended]
    spread = statistics.stdev(values) if len(values) > 1 else ended[0].get("spread")
    return {"value": statistics.mean(values), "spread": spread, "count": len(values),
            "seconds": statistics.mean(result["seconds"] for result in ended),
            "speed": statistics.mean(result["speed"] for result in ended) if "speed" in ended[0] else None,
            "also_values": [statistics.mean(numbers) for numbers in zip(*(result["also"] for result in ended))],
            "used": ended[0].get("used", {})}


def machine():
    """Return what the numbers were measured on."""
    from importlib.metadata import version

    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.partition(":")[2].strip() for line in f if line.startswith("model name")), "unknown")
    packages = ", ".join(f"{name} {version(name)}" for name in ("mxnet", "numpy", "mxft"))
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    sys.exit(run_command("reproduce", main))
