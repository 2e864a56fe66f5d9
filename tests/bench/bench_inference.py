"""Images a second through the inference executor, against its plain graph, frozen TorchScript and ONNX Runtime.

    python tests/bench/bench_inference.py [--nets mobilenet-v2-1.0,resnet50_v1] [--batch-size 32] [--runs 9]

The same weights everywhere: the ImageNet MobileNetV2 of ../shared or $MXFT_TESTDATA, and random ones for GluonCV's two
ResNet-50s, v1 as in the paper and v1b with the stride in the 3x3 convolution. Each contender has a process of its own,
so that no thread pool spins on another's cores, and they take turns; a ratio is of two neighbours in time. PyTorch gets
channels_last images and a graph without Pad nodes, which it is twice as fast on; ONNX Runtime the graph as it is, since
ONNX convolutions pad unevenly by themselves. What is not installed is left out: ``pip install torch onnx onnxruntime``.
"""
import argparse
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
import warnings

from turns import SHARED, show

NEEDS = {"mxft": (), "plain executor": (), "TorchScript": ("torch",), "ONNX Runtime": ("torch", "onnx", "onnxruntime")}
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


def network(name):
    """Return (symbol without its loss, arg_params, aux_params) of a shared checkpoint or a Gluon model."""
    from mxft.network.checkpoint import load_checkpoint
    from mxft.surgery import cut_loss

    prefix = os.path.join(SHARED, "models", name)
    if os.path.exists(prefix + "-symbol.json"):
        checkpoint = load_checkpoint(prefix + ",0")
    else:
        from mxft.backbones.gluon import checkpoint_from_gluon
        sys.modules["torch"] = None  # GluonCV does not import beside PyTorch 2
        checkpoint = checkpoint_from_gluon(name)
        del sys.modules["torch"]
    return cut_loss(checkpoint.symbol), checkpoint.arg_params, checkpoint.aux_params


def executor(parts, images, rewrite):
    """Return a function giving the scores of so many batches, read as every verb reads them."""
    from mxft.compat import mx
    from mxft.inference.executor import InferenceExecutor

    bound, batch = InferenceExecutor(*parts, images.shape[1:], len(images), rewrite=rewrite), mx.nd.array(images)
    bound.expect(100000)

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


def one_by_one(run):
    """Return a function that runs so many batches one after another."""
    return lambda count: [run() for _ in range(count)][-1]


def torchscript(parts, images):
    """Return a function giving the scores of the frozen, optimised, channels_last twin."""
    import torch
    from torch_twin import Twin

    from mxft.rewrite.inference.pad import fold_pads

    torch.set_num_threads(THREADS)
    batch = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        twin = Twin(*fold_pads(*parts)).eval().to(memory_format=torch.channels_last)
        script = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(twin, batch)))

    def run():
        with torch.no_grad():
            return script(batch).numpy()
    return run


def onnx_runtime(parts, images):
    """Return a function giving the scores of the twin exported to ONNX."""
    import onnxruntime
    import torch
    from torch_twin import Twin

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "twin.onnx")
        torch.onnx.export(Twin(*parts).eval(), torch.from_numpy(images), path, dynamo=False, opset_version=17)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})[0]


def contend(contender, net, batch_size, clock, pipe):
    """Make one contender; then, for each number received, do so many forwards and send the seconds. 0 ends it."""
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    warnings.simplefilter("ignore")
    import numpy as np

    images = np.random.RandomState(0).uniform(0, 255, (batch_size, 3, 224, 224)).astype(np.float32)
    make = {"mxft": lambda parts, x: executor(parts, x, True), "plain executor": lambda p, x: executor(p, x, False),
            "TorchScript": lambda p, x: one_by_one(torchscript(p, x)),
            "ONNX Runtime": lambda p, x: one_by_one(onnx_runtime(p, x))}[contender]
    run = make(network(net), images)
    scores = run(3)  # TorchScript specialises itself in the first two
    pipe.send(scores)
    for count in iter(pipe.recv, 0):
        run(1)  # wakes the thread pool
        began = clock()
        run(count)
        pipe.send(clock() - began)


def bench(net, batch_size, runs, forwards, clock):
    """Return {contender: [images/s, …]} in turn, and {contender: scores}."""
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for contender, needs in NEEDS.items():
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            print(f"  {contender:16} left out: not installed: {', '.join(missing)}")
            continue
        pipes[contender], theirs = spawn.Pipe()
        spawn.Process(target=contend, args=(contender, net, batch_size, clock, theirs), daemon=True).start()
        theirs.close()  # so that a contender that dies is noticed
    scores = {contender: pipe.recv() for contender, pipe in pipes.items()}
    speeds = {contender: [] for contender in pipes}
    for _ in range(runs):
        for contender, pipe in pipes.items():
            pipe.send(forwards)
            speeds[contender].append(batch_size * forwards / pipe.recv())
    for pipe in pipes.values():
        pipe.send(0)
    return speeds, scores


def report(title, speeds, scores):
    """Show one network's speeds; refuse outputs that are not the same."""
    apart = {name: abs(found - scores["mxft"]).max() / abs(scores["mxft"]).max() for name, found in scores.items()}
    show(title, "images/s", speeds, "mxft",
         {name: f"outputs {value:.0e} apart" for name, value in apart.items() if name != "mxft"})
    for name, value in apart.items():
        if not value < 2e-5:
            raise SystemExit(f"{name} disagrees with mxft: expected outputs within 2e-5 of their scale")


def main():
    """Print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nets", default="mobilenet-v2-1.0,resnet50_v1,resnet50_v1b", metavar="LIST",
                   help="shared checkpoints or Gluon models")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--runs", type=int, default=9)
    p.add_argument("--forwards", type=int, default=4, help="timed in each turn")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                   help="cpu: seconds of processor time; with OMP_NUM_THREADS=1 for a machine others work on too")
    args = p.parse_args()
    for net in args.nets.split(","):
        title = f"inference of {net}, batch {args.batch_size}, {THREADS} threads, {args.clock} clock"
        report(title, *bench(net, args.batch_size, args.runs, args.forwards, args.clock))


if __name__ == "__main__":
    main()
