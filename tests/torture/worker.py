"""Runs commands inside one process, each with its own streams, and tells how they ended; started by `supervisor`.

A line of JSON in, ``{"argv": [...], "folder": ...}``, a line out. Starting Python and MXNet takes longer than most
cases, so one process does many; whatever ends it, the supervisor knows which case it was.
"""
import contextlib
import importlib.util
import io
import json
import math
import os
import pathlib
import resource
import sys
import traceback

SIDE, MOST_PARAMETERS = 16, 1 << 24
ADDRESSES = 12 << 30             # bytes: what is asked for beyond is refused by the system
RECIPES = pathlib.Path(__file__).resolve().parents[2] / "recipes"


def run(argv):
    """Return the exit status of one command, as the shell would see it."""
    from mxft.cli import main
    from mxft.command import run_command

    if argv[0] == "filled":
        return run_command("filled", lambda words: _fill("tiny", SIDE) or main(words), argv[1:])
    if argv[0] == "extract_tar":
        from mxft.files.archive import extract_tar

        return run_command("extract_tar", lambda words: extract_tar(*words) and None, argv[1:])
    if argv[0] == "train_softmax":
        spec = importlib.util.spec_from_file_location("train_softmax", RECIPES / "train_softmax.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return run_command("train_softmax.py", module.main, argv[1:])
    return main(argv)


def _fill(prefix, side):
    """Write random parameters of the shapes a network asks for, where it says and they are not too many."""
    import numpy as np

    from mxft.compat import mx
    from mxft.network.checkpoint import load_symbol

    network, rng = load_symbol(f"{prefix}-symbol.json"), np.random.RandomState(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints the arguments of a failed inference
            args, _, auxs = network.infer_shape_partial(data=(1, 3, side, side))
    except mx.base.MXNetError:
        return
    named = [*zip(["arg:" + name for name in network.list_arguments()], args),
             *zip(["aux:" + name for name in network.list_auxiliary_states()], auxs)]
    named = [(name, shape) for name, shape in named if name not in ("arg:data", "arg:softmax_label") and shape]
    if named and sum(math.prod(shape) for _, shape in named) < MOST_PARAMETERS and all(all(s) for _, s in named):
        mx.nd.save(f"{prefix}-0000.params", {name: mx.nd.array(rng.uniform(0.1, 1, shape)) for name, shape in named})


def handle(case, answers):
    """Run one case in its folder; its output goes to the files ``stdout`` and ``stderr`` beside the folder."""
    _forget_peak()
    os.chdir(case["folder"])
    beside = os.path.dirname(os.path.abspath(case["folder"]))
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(os.path.join(beside, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    escaped = None
    try:
        status = run(case["argv"])
    except BaseException:  # whatever it is, it should have been a message
        escaped, status = traceback.format_exc(), 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    print(json.dumps({"status": status, "traceback": escaped, "peak": _peak()}), file=answers, flush=True)


def _forget_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def _peak():
    """Return the largest resident size since `_forget_peak`, in bytes."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def main():
    """Answer cases until the supervisor closes the pipe."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from mxft.compat import mx

    mx.nd.zeros(1).asnumpy()
    for line in sys.stdin:
        handle(json.loads(line), answers)


if __name__ == "__main__":
    main()
