"""Heads without SGD: each solver's seconds and top-1 beside epochs of SGD on the same features.

    python tests/bench/bench_solvers.py [--model PREFIX,EPOCH] [--features TRAIN.npz VAL.npz] [--epochs 8] [--runs 3]

Without files it extracts the features of Caltech's 12 images a class (6 validate) of ../shared or $MXFT_TESTDATA.
``mxft extract-features`` makes such files. SGD: batch 128, momentum 0.9, cosine from the best of three rates, on
features held in memory, so only the head is computed; the rate is picked by the validation set, in SGD's favour.
"""
import argparse
import os
import tempfile

import numpy as np
from turns import shared, show, take_turns, unpack

BATCH, RATES = 128, (0.003, 0.01, 0.03)


def caltech_features(model, scratch):
    """Return (features, labels) of the training and of the validation photographs."""
    from mxft.data.datasets import prepare_records
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import scan_labels
    from mxft.features.extraction import extract_view
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.surgery import cut_at, find_feature_layer

    photographs = os.path.join(unpack("caltech256-subset.tar", scratch), "256_ObjectCategories")
    records, _ = prepare_records(photographs, os.path.join(scratch, "bench"), 12, num_thread=2, resize=256, quality=90,
                                 show=False)
    checkpoint = load_checkpoint(model)
    network = cut_at(checkpoint.symbol, find_feature_layer(checkpoint.symbol).name)
    executor = InferenceExecutor(network, checkpoint.arg_params, checkpoint.aux_params, (3, 224, 224), 32)
    views = []
    for path in (records.train, records.val):
        views.append(extract_view(executor, RecordIterator(path, InputSpec(), 32, len(scan_labels(path).ids))))
    return [(view.features.reshape(len(view.labels), -1), view.labels.astype(int)) for view in views]


def sgd_head(features, labels, classes, rate, epochs):
    """Train a FullyConnected by SGD through Module; return weight and bias."""
    from mxft.compat import mx

    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=classes, name="fc1")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    mx.random.seed(0)
    np.random.seed(0)
    iterator = mx.io.NDArrayIter(features, labels.astype(np.float32), BATCH, shuffle=True)
    steps = epochs * -(-len(labels) // BATCH)
    module = mx.mod.Module(net)
    module.bind(iterator.provide_data, iterator.provide_label)
    module.init_params(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    module.init_optimizer(optimizer="sgd", optimizer_params={
        "learning_rate": rate, "momentum": 0.9, "rescale_grad": 1 / BATCH,
        "lr_scheduler": mx.lr_scheduler.CosineScheduler(steps, base_lr=rate, final_lr=0)})
    for _ in range(epochs):
        iterator.reset()
        for batch in iterator:
            module.forward_backward(batch)
            module.update()
    values = module.get_params()[0]
    return values["fc1_weight"].asnumpy(), values["fc1_bias"].asnumpy()


def contenders(train, classes, epochs):
    """Return {name: function returning weight and bias}."""
    from mxft.features.solvers import SOLVERS, solve_head

    def solver(name):
        def solve():
            head = solve_head(name, *train, classes)
            return head.weight, head.bias
        return solve

    functions = {name: solver(name) for name in SOLVERS}
    for count in dict.fromkeys((2, epochs)):
        for rate in RATES:
            functions[f"sgd, {count} epochs at {rate:g}"] = lambda c=count, r=rate: sgd_head(*train, classes, r, c)
    return functions


def top1(weight, bias, features, labels):
    """Return the accuracy of a head."""
    return float(((features @ weight.T + bias).argmax(axis=1) == labels).mean())


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH")
    p.add_argument("--features", nargs=2, metavar=("TRAIN.npz", "VAL.npz"))
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--runs", type=int, default=1)
    args = p.parse_args()
    from mxft.features.files import read_features

    if args.features:
        train, val = ((np.float32(f.features).reshape(len(f.labels), -1), f.labels.astype(int))
                      for f in map(read_features, args.features))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            train, val = caltech_features(args.model or shared("models", "mobilenet-v2-1.0,0"), scratch)
    classes = int(train[1].max()) + 1
    seconds, heads = take_turns(contenders(train, classes, args.epochs), args.runs, warm_up=0)
    reached = {name: top1(*head, *val) for name, head in heads.items()}
    for count in dict.fromkeys((2, args.epochs)):  # of the rates only the best is told
        names = [name for name in reached if name.startswith(f"sgd, {count} ")]
        for name in sorted(names, key=reached.get)[:-1]:
            del reached[name]
    order = sorted(reached, key=lambda name: -reached[name])
    best_sgd = next(name for name in order if name.startswith("sgd"))
    title = f"a head of {classes} classes on {len(train[1])} x {train[0].shape[1]} features"
    for name in order:
        if name != best_sgd:
            show(title, "heads/min", {n: [60 / taken for taken in seconds[n]] for n in (name, best_sgd)},
                 f"{name}", {n: f"top-1 {reached[n]:.4f}" for n in (name, best_sgd)})


if __name__ == "__main__":
    main()
