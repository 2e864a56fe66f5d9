"""Images a second through the inference executor in float32, bfloat16 and int8, against PyTorch and ONNX Runtime.

    python tests/bench/bench_inference.py [--nets "mobilenet-v2-1.0;resnet50_v1"] [--batch-size 32] [--runs 9]
        [--only mxft,"mxft int8"]
    make bench NETS="mobilenet-v2-1.0;resnet18_v2"

The same weights everywhere: the ImageNet MobileNetV2 of ../shared or $MXFT_TESTDATA, or of a checkpoint PREFIX,EPOCH;
random ones for Gluon's models, such as GluonCV's two ResNet-50s, v1 as in the paper and v1b with the stride in the 3x3
convolution. int8 is that of a quantized checkpoint; of others the ranges are those of the images here, and every layer
that can be is in int8, for ONNX Runtime too. Each contender has a process of its own, so that no thread pool spins on
another's cores, and they take turns; a ratio is of two neighbours in time. PyTorch gets channels_last images and a
graph without Pad nodes, which it is twice as fast on. What is not installed, and what the CPU has no instructions for,
is left out: ``pip install torch onnx onnxruntime``.
"""
import argparse
import dataclasses
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
import warnings

from turns import SHARED, show

ONNX = ("onnx", "onnxruntime")
NEEDS = {"mxft": (), "mxft bf16": (), "mxft int8": (), "mxft, PyTorch's engine": ("torch",),
         "plain executor": (), "TorchScript": ("torch",),
         "PyTorch bf16": ("torch",), "PyTorch bf16 compiled": ("torch",), "ONNX Runtime": ONNX,
         "ONNX Runtime int8": ONNX}
EXACT = ("mxft", "mxft, PyTorch's engine", "plain executor", "TorchScript", "ONNX Runtime")
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


def network(name):
    """Return the Checkpoint of a name, without its loss: of a file, a shared one, or a Gluon model."""
    from mxft.network.checkpoint import load_checkpoint
    from mxft.surgery import cut_loss

    prefix = os.path.join(SHARED, "models", name)
    if "," in name or os.path.exists(prefix + "-symbol.json"):
        checkpoint = load_checkpoint(name if "," in name else prefix + ",0")
    else:
        from mxft.backbones.gluon import checkpoint_from_gluon
        sys.modules["torch"] = None  # GluonCV does not import beside PyTorch 2
        checkpoint = checkpoint_from_gluon(name)
        del sys.modules["torch"]
    return dataclasses.replace(checkpoint, symbol=cut_loss(checkpoint.symbol))


def executor(checkpoint, images, rewrite=True, precision="fp32", context=None):
    """Return a function giving the scores of so many batches, read as every verb reads them."""
    from mxft.compat import mx
    from mxft.inference.executor import InferenceExecutor

    parts = checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params
    bound = InferenceExecutor(*parts, images.shape[1:], len(images), context, rewrite=rewrite,
                              precision=_precision(checkpoint, images, precision))
    bound.expect(100000)
    batch = mx.nd.array(images)

    class Batches(mx.io.DataIter):
        def reset(self):
            self.left = self.count

        def next(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            return mx.io.DataBatch([batch], [mx.nd.zeros((len(images),))], pad=0)

    def run(count):
        batches.count = count
        return [scores for scores, _ in bound.over(batches)][-1]

    batches = Batches(len(images))
    return run


def _precision(checkpoint, images, name):
    """Return a Precision; of int8 the ranges are those of the images, where the checkpoint has none."""
    from mxft.inference.precision import Precision
    from mxft.network.quantization import Quantization
    from mxft.quantization.network import SampledNetwork

    if name != "int8":
        return Precision(name)
    found = Quantization.of(checkpoint.manifest)
    if found is None:
        sampled = SampledNetwork(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, images)
        found = sampled.quantization(sampled.ranges("percentile"), (), "percentile")
    return Precision("int8", found)


def by_pytorch(checkpoint, images):
    """Return a function giving the scores of so many batches by mxft's second engine, ``--engine torch``."""
    from mxft.torch.device import TorchDevice

    return executor(checkpoint, images, context=TorchDevice())


def one_by_one(run):
    """Return a function that runs so many batches one after another."""
    return lambda count: [run() for _ in range(count)][-1]


def torchscript(checkpoint, images):
    """Return a function giving the scores of the frozen, optimised, channels_last twin."""
    import torch

    twin, batch = _twin(checkpoint, images)
    with torch.no_grad():
        script = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(twin, batch)))

    def run():
        with torch.no_grad():
            return script(batch).numpy()
    return run


def torch_bfloat16(checkpoint, images, compiled):
    """Return a function giving the scores of the channels_last twin under autocast, compiled or not."""
    import torch

    twin, batch = _twin(checkpoint, images)
    called = torch.compile(twin) if compiled else twin

    def run():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return called(batch).float().numpy()
    return run


def _twin(checkpoint, images):
    import torch

    from mxft.rewrite.inference.pad import fold_pads
    from mxft.torch import to_torch

    torch.set_num_threads(THREADS)
    parts = fold_pads(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params)
    twin = to_torch(dataclasses.replace(checkpoint, **dict(zip(("symbol", "arg_params", "aux_params"), parts))))
    return (twin.to(memory_format=torch.channels_last),
            torch.from_numpy(images).contiguous(memory_format=torch.channels_last))


def onnx_runtime(checkpoint, images, int8):
    """Return a function giving the scores of the file that mxft export writes, in float32 or int8."""
    import onnxruntime

    from mxft.deploy.onnx import export_onnx
    from mxft.deploy.onnx.int8 import export_int8

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        if int8:
            export_int8(checkpoint, path, images, min_cosine=-1)
        else:
            export_onnx(checkpoint, path, images.shape[1:], images[:2])
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})[0]


def contend(contender, net, batch_size, clock, pipe):
    """Make one contender; then, for each number received, do so many forwards and send the seconds. 0 ends it."""
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    warnings.simplefilter("ignore")
    import numpy as np

    from mxft.network.input_spec import InputSpec

    checkpoint = network(net)
    shape = (checkpoint.input_spec or checkpoint.assumed_spec() or InputSpec()).shape
    images = np.random.RandomState(0).uniform(0, 255, (batch_size, *shape)).astype(np.float32)
    make = {"mxft": executor, "plain executor": lambda c, x: executor(c, x, False),
            "mxft bf16": lambda c, x: executor(c, x, precision="bf16"),
            "mxft int8": lambda c, x: executor(c, x, precision="int8"),
            "mxft, PyTorch's engine": by_pytorch, "TorchScript": lambda c, x: one_by_one(torchscript(c, x)),
            "PyTorch bf16": lambda c, x: one_by_one(torch_bfloat16(c, x, False)),
            "PyTorch bf16 compiled": lambda c, x: one_by_one(torch_bfloat16(c, x, True)),
            "ONNX Runtime": lambda c, x: one_by_one(onnx_runtime(c, x, False)),
            "ONNX Runtime int8": lambda c, x: one_by_one(onnx_runtime(c, x, True))}[contender]
    run = make(checkpoint, images)
    scores = run(3)  # TorchScript specialises itself in the first two
    pipe.send(scores)
    for count in iter(pipe.recv, 0):
        run(1)  # wakes the thread pool
        began = clock()
        run(count)
        pipe.send(clock() - began)


def supports(contender):
    """Whether this CPU has the instructions of a contender."""
    from mxft.inference.bfloat16 import gains_from_bfloat16
    from mxft.inference.int8 import gains_from_int8

    return gains_from_int8() if "int8" in contender else gains_from_bfloat16() if "bf16" in contender else True


def bench(net, batch_size, runs, forwards, clock, contenders):
    """Return {contender: [images/s, …]} in turn, and {contender: scores}."""
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for contender, needs in NEEDS.items():
        if contender not in contenders or not supports(contender):
            continue
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            print(f"  {contender:16} left out: not installed: {', '.join(missing)}")
            continue
        pipes[contender], theirs = spawn.Pipe()
        spawn.Process(target=contend, args=(contender, net, batch_size, clock, theirs), daemon=True).start()
        theirs.close()  # so that a contender that dies is noticed
    scores = {}
    for contender, pipe in list(pipes.items()):
        try:
            scores[contender] = pipe.recv()
        except EOFError:  # what it could not do stands above
            print(f"  {contender:16} left out: it cannot compute this network")
            del pipes[contender]
    speeds = {contender: [] for contender in pipes}
    for _ in range(runs):
        for contender, pipe in pipes.items():
            pipe.send(forwards)
            speeds[contender].append(batch_size * forwards / pipe.recv())
    for pipe in pipes.values():
        pipe.send(0)
    return speeds, scores


def report(title, speeds, scores):
    """Show one network's speeds; refuse outputs in float32 that are not the same."""
    ours = scores["mxft"]
    apart = {name: abs(found - ours).max() / abs(ours).max() for name, found in scores.items()}
    show(title, "images/s", speeds, "mxft", {name: f"outputs {value:.0e} apart" if name in EXACT else
                                             f"cosine {_cosine(scores[name], ours):.4f}"
                                             for name, value in apart.items() if name != "mxft"})
    for name, value in apart.items():
        if name in EXACT and not value < 2e-5:
            raise SystemExit(f"{name} disagrees with mxft: expected outputs within 2e-5 of their scale")


def _cosine(one, other):
    return float(((one * other).sum(axis=1) / ((one ** 2).sum(axis=1) * (other ** 2).sum(axis=1)) ** .5).mean())


def main():
    """Print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nets", default=os.environ.get("NETS") or "mobilenet-v2-1.0;resnet50_v1;resnet50_v1b",
                   metavar="LIST", help="shared checkpoints, PREFIX,EPOCH or Gluon models, with ; between them")
    p.add_argument("--only", default=",".join(NEEDS), metavar="LIST", help=f"of {', '.join(NEEDS)} (default: all)")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--runs", type=int, default=9)
    p.add_argument("--forwards", type=int, default=4, help="timed in each turn")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: seconds of processor time; with OMP_NUM_THREADS=1 for a machine others work on too")
    args = p.parse_args()
    for net in args.nets.split(";"):
        title = f"inference of {net}, batch {args.batch_size}, {THREADS} threads, {args.clock} clock"
        report(title, *bench(net, args.batch_size, args.runs, args.forwards, args.clock,
                             args.only.split(",")))


if __name__ == "__main__":
    main()
