"""Trains a small network on batches that are divided among the processes that run this, and writes what it saw.

One process on one context, one on two, and two workers are given the same images in the same order: each worker takes
its rows of every global batch, in so many parts as are to be accumulated. What they write can be compared number by
number.

    python tests/reference/global_batch.py out.npz device --contexts 2
    python tools/launch.py -n 2 -s 1 python tests/reference/global_batch.py out.npz dist_sync

``out.npz`` holds the losses of the steps ((steps,), of this process's rows), ``before/NAME`` and ``after/NAME`` of the
parameters, and the accuracy on 512 other images; worker 1 and up write ``out.npz.1``, ….
"""
import argparse
import sys

import numpy as np

from mxft.command import run_command
from mxft.compat import mx
from mxft.distributed.workers import join
from mxft.freeze import FreezeOptions, freeze_plan
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import Checkpoint
from mxft.surgery import attach_head
from mxft.training.fit import FitOptions, fit, seed_everything
from mxft.training.run import SilentRun
from mxft.training.schedule import learning_rate_schedule

CLASSES, SIZE, GLOBAL_BATCH = 4, 12, 64


def pictures(count, seed):
    """Return noisy images ``(N, 3, 12, 12)``, a faintly brighter quarter each, and its number ``(N,)``."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, CLASSES, count)
    images = rng.normal(0, 1, (count, 3, SIZE, SIZE)).astype(np.float32)
    half = SIZE // 2
    for image, label in zip(images, labels):
        row, column = divmod(label, 2)
        image[:, row * half:row * half + half, column * half:column * half + half] += 0.2
    return images, labels.astype(np.float32)


class Rows(mx.io.DataIter):
    """Of every global batch the rows of one worker, in `parts`; 30 batches, again and again."""

    def __init__(self, batches, seed, worker, workers, parts=1):
        super().__init__(GLOBAL_BATCH // workers // parts)
        images, labels = pictures(min(batches, 30) * GLOBAL_BATCH, seed)
        self.batches, self._done, self._parts = batches * parts, 0, parts
        self._images, self._labels, self._first = images, labels, worker * parts * self.batch_size
        self.provide_data = [mx.io.DataDesc("data", (self.batch_size, *images.shape[1:]))]
        self.provide_label = [mx.io.DataDesc("softmax_label", (self.batch_size,))]

    def reset(self):
        """Begin again."""
        self._done = 0

    def next(self):
        """Return the next batch."""
        if self._done == self.batches:
            raise StopIteration
        batch, part = divmod(self._done, self._parts)
        start = batch * GLOBAL_BATCH % len(self._images) + self._first + part * self.batch_size
        rows = slice(start, start + self.batch_size)
        self._done += 1
        return mx.io.DataBatch([mx.nd.array(self._images[rows])], [mx.nd.array(self._labels[rows])], pad=0)


def network(batch_norm, seed):
    """Return a Checkpoint of two convolutions and a classifier of 10, random numbers."""
    net = mx.sym.Variable("data")
    for number, filters in enumerate((8, 16)):
        net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), num_filter=filters, name=f"conv{number}")
        net = mx.sym.BatchNorm(net, fix_gamma=False, name=f"bn{number}") if batch_norm else net
        net = mx.sym.Activation(net, act_type="relu", name=f"relu{number}")
    net = mx.sym.Pooling(net, kernel=(6, 6), stride=(6, 6), pool_type="avg", name="pool")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten"), num_hidden=10, name="fc1")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    args, _, auxs = net.infer_shape(data=(1, 3, SIZE, SIZE))
    rng = np.random.RandomState(seed)

    def numbers(name, shape):
        if name.endswith(("gamma", "var")):
            return mx.nd.ones(shape)
        return mx.nd.array(rng.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0, shape))

    given = {name: numbers(name, shape) for name, shape in zip(net.list_arguments(), args)
             if name not in ("data", "softmax_label")}
    return Checkpoint(net, given, {name: numbers(name, shape) for name, shape in
                                   zip(net.list_auxiliary_states(), auxs)})


def train(args):
    """Train as the flags say; write what was seen, and return an exit status."""
    workers = join(args.kvstore)
    contexts = [mx.cpu(i) for i in range(args.contexts)]
    old = network(args.batch_norm, args.seed)
    head = attach_head(old.symbol, CLASSES)
    given = {name: value for name, value in old.arg_params.items() if name not in head.parameters}
    rng = np.random.RandomState(args.seed + 100 * workers.rank)  # rank 0's head has to reach all
    given.update({head.parameters[0]: mx.nd.array(rng.normal(0, 0.1, (CLASSES, 64))),
                  head.parameters[1]: mx.nd.array(rng.normal(0, 0.1, CLASSES))})
    plan = freeze_plan("discriminative", head.symbol, head.parameters, "train",
                       FreezeOptions(("conv0_*",) if args.freeze else (), method=args.freeze_by, backbone_lr_mult=0.3))
    rows = Rows(args.steps, args.seed, workers.rank, workers.count, args.accumulate)
    losses = []  # a number a batch and context

    class Log(SilentRun):
        """Keeps the parameters; there is one epoch."""

        def save(self, epoch, arg_params, aux_params, metrics):
            self.after = {**arg_params}, {**aux_params}

    seed_everything(args.seed)
    log, before = Log("nowhere"), {name: value.asnumpy() for name, value in given.items()}
    _every_batch(losses)
    result = fit(head.symbol, given, old.aux_params, plan, rows, log,
                 learning_rate_schedule("step", args.lr, 1, args.steps, steps=(0.8,)),
                 FitOptions(epochs=1, momentum=0.9, wd=0.01, kvstore=args.kvstore, accumulate=args.accumulate),
                 contexts, quiet=True)
    images, labels = pictures(512, 999)
    executor = InferenceExecutor(head.symbol, *log.after, (3, SIZE, SIZE), 512, contexts[0])
    accuracy = float((executor.forward(mx.nd.array(images)).argmax(1) == labels).mean())
    if result.interrupted:
        return 130
    losses = np.reshape(losses, (args.steps, args.accumulate * args.contexts)).mean(axis=1)
    with open(args.out + (f".{workers.rank}" if workers.rank else ""), "wb") as f:
        np.savez(f, losses=losses, accuracy=accuracy,
                 **{f"before/{name}": value for name, value in before.items()},
                 **{f"after/{name}": value.asnumpy() for name, value in log.after[0].items()})
    print(f"{workers.describe()}: {args.steps} steps, last loss {losses[-1]:.6f}, accuracy {accuracy:.4f}")
    return 0


def _every_batch(losses):
    """Have the training meter note the mean loss of every batch, on each context."""
    from mxft.training import fit as training

    class Meter(training.TrainingMeter):
        """Notes what it sees."""

        def update(self, labels, preds):
            seen = self.loss_sum, self.images
            super().update(labels, preds)
            losses.append((self.loss_sum - seen[0]) / (self.images - seen[1]))

    training.TrainingMeter = Meter


def main(argv=None):
    """Read the flags and train."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("out")
    p.add_argument("kvstore")
    p.add_argument("--contexts", type=int, default=1)
    p.add_argument("--accumulate", type=int, default=1)
    p.add_argument("--steps", type=int, default=30)
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--batch-norm", action="store_true")
    p.add_argument("--freeze", action="store_true")
    p.add_argument("--freeze-by", default="fixed")
    return train(p.parse_args(argv))


if __name__ == "__main__":
    sys.exit(run_command("global_batch", main))
