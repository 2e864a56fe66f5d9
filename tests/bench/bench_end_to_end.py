"""From a folder of photographs to a classifier of them, whole processes in turn: mxft, and what others would write.

    python tests/bench/bench_end_to_end.py [--runs 3] [--peer-python PYTHON]

Caltech's 256 classes of 18 photographs, 12 of each for training, and a frozen MobileNetV2 with a logistic head, of
../shared or $MXFT_TESTDATA. mxft is ``mxft finetune --plan head --solver logistic``: folder to run folder, with
checkpoint, calibration, novelty file and page, in float32, and in bfloat16 and int8 where the CPU has instructions for
them; int8 is calibrated within that time. The others end with a fitted classifier in memory: PyTorch with the
same weights and scikit-learn (`peer_torch`), each process started anew. Their rows appear where PyTorch is installed,
here or for ``--peer-python``; the twin of the network is made by this Python if it has PyTorch, else by that one, which
then needs mxnet too.
"""
import argparse
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

from turns import ROOT, shared, show, take_turns, unpack

PER_CLASS = 12
OURS = "mxft finetune"
PRECISIONS = {OURS: "fp32", "mxft finetune, bf16": "bf16", "mxft finetune, int8": "int8"}
PEERS = {"PyTorch fp32 + scikit-learn": (), "PyTorch bf16 + scikit-learn": ("--bf16",),
         "the same, read by OpenCV": ("--bf16", "--decode", "opencv"),
         "PyTorch bf16 compiled + scikit-learn": ("--bf16", "--compile")}
TWIN = """
import sys
import torch
from torch_twin import Twin
from mxft.network.checkpoint import load_checkpoint
from mxft.surgery import cut_at
model = load_checkpoint(sys.argv[1])
network = cut_at(model.symbol, model.anatomy.require_feature().name)
torch.save(Twin(network, model.arg_params, model.aux_params), sys.argv[2])
"""


def ours(model, photographs, scratch, precision="fp32"):
    """Run ``mxft finetune``; return the top-1 its log tells."""
    run = os.path.join(scratch, "run")
    for path in (run, run + "-records"):
        shutil.rmtree(path, ignore_errors=True)
    _call(sys.executable, "-m", "mxft", "finetune", "--model", model, "--data", photographs, "--run", run, "--plan",
          "head", "--solver", "logistic", "--per-class", str(PER_CLASS), "--precision", precision)
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    return next(row["val_top1"] for row in rows if row["event"] == "epoch")


def supports(precision):
    """Whether this CPU computes in a precision."""
    from mxft.inference.bfloat16 import gains_from_bfloat16
    from mxft.inference.int8 import gains_from_int8

    return {"bf16": gains_from_bfloat16, "int8": gains_from_int8}.get(precision, lambda: True)()


def peer(python, twin, photographs, lists, options):
    """Run `peer_torch`; return its top-1."""
    return json.loads(_call(python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_torch.py"), twin,
                            photographs, *lists, *options).splitlines()[-1])["top1"]


def _call(*words):
    path = os.pathsep.join([os.path.abspath(ROOT), os.path.dirname(os.path.abspath(__file__)),
                            *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])}: {done.stderr[-2000:]}")
    return done.stdout


def twin_of(python, model, scratch):
    """Return the path of the network's features as a PyTorch module, None where nobody has PyTorch."""
    maker = sys.executable if importlib.util.find_spec("torch") else python
    if maker is None:
        return None
    path = os.path.join(scratch, "twin.pt")
    _call(maker, "-c", TWIN, model, path)
    return path


def main():
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--peer-python", metavar="PYTHON", help="with PyTorch and scikit-learn (default: this one)")
    args = p.parse_args()
    model = shared("models", "mobilenet-v2-1.0,0")
    with tempfile.TemporaryDirectory() as scratch:
        photographs = os.path.join(unpack("caltech256-subset.tar", scratch), "256_ObjectCategories")
        contenders = {name: functools.partial(ours, model, photographs, scratch, precision)
                      for name, precision in PRECISIONS.items() if supports(precision)}
        twin = twin_of(args.peer_python, model, scratch)
        if twin:
            ours(model, photographs, scratch)  # divides the pictures
            lists = [shutil.copy(os.path.join(scratch, "run-records", f"images-{name}.lst"), scratch)
                     for name in ("train", "val")]
            contenders.update({name: functools.partial(peer, args.peer_python or sys.executable, twin, photographs,
                                                       lists, options) for name, options in PEERS.items()})
        seconds, reached = take_turns(contenders, args.runs, warm_up=0, tell=True)
    show("photographs to a classifier, 256 classes of 18", "runs/min",
         {name: [60 / taken for taken in turns] for name, turns in seconds.items()}, OURS,
         {name: f"{sorted(seconds[name])[len(seconds[name]) // 2]:.1f} s, top-1 {top1:.4f}"
          for name, top1 in reached.items()})


if __name__ == "__main__":
    main()
