"""Faces trained a second: a bare Module loop over ImageRecordIter, with the network as it is and as mxft binds it.

    python tests/bench/bench_train_faces.py [--model PREFIX,EPOCH] [--batch-size 32] [--batches 4] [--runs 5]

Without a model it takes the MobileFaceNet of ../shared or $MXFT_TESTDATA, whose LFW faces are the images; it says so
and ends where there is neither. The two run in turn, with a softmax over 423 people and SGD with momentum.
"""
import argparse
import itertools
import os
import statistics
import tarfile
import tempfile

from turns import rates, shared, show, take_turns

CLASSES = 423


def pack_faces(archive, count, path):
    """Pack the first `count` faces of the tar file `archive`, labels 0 to 422 in turn; return the record file."""
    from mxft.data.recordio import IRHeader, RecordWriter, pack

    with tarfile.open(archive) as tar, RecordWriter(path) as writer:
        faces = (member for member in tar if member.name.endswith(".jpg"))
        for number, member in enumerate(itertools.islice(faces, count)):
            writer.write(pack(IRHeader(0, float(number % CLASSES), number, 0), tar.extractfile(member).read()))
    return path


def trainer(symbol, checkpoint, rec, batch_size):
    """Bind `symbol` and return a function that trains one pass over `rec` and returns the mean loss."""
    import numpy as np

    from mxft.compat import mx

    images = mx.io.ImageRecordIter(path_imgrec=rec, data_shape=(3, 112, 112), batch_size=batch_size, verbose=False)
    module = mx.mod.Module(symbol)
    module.bind(images.provide_data, images.provide_label)
    weight = mx.nd.array(np.random.RandomState(0).normal(0, .05, (CLASSES, 128)))
    module.init_params(mx.init.Zero(), {**checkpoint.arg_params, "fc7_weight": weight}, checkpoint.aux_params,
                       allow_missing=True)
    module.init_optimizer(optimizer_params={"learning_rate": .01, "momentum": .9, "wd": 5e-4})

    def train():
        images.reset()
        losses = []
        for batch in images:
            module.forward_backward(batch)
            module.update()
            probability = mx.nd.pick(module.get_outputs()[0], batch.label[0])
            losses.append(-float(mx.nd.log(probability).mean().asscalar()))
        mx.nd.waitall()
        return statistics.mean(losses)
    return train


def contenders(model, rec, batch_size):
    """Return {name: function that trains one pass}."""
    from mxft.compat import mx
    from mxft.network.checkpoint import load_checkpoint
    from mxft.rewrite import rewrite_for_training

    checkpoint = load_checkpoint(model)
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(checkpoint.symbol, num_hidden=CLASSES, name="fc7"), name="softmax")
    return {"as it is": trainer(net, checkpoint, rec, batch_size),
            "mxft": trainer(rewrite_for_training(net)[0], checkpoint, rec, batch_size)}


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--batches", type=int, default=4, help="of one run")
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    model = args.model or shared("models", "mobilefacenet-y1", "model,0")
    images = args.batch_size * args.batches
    with tempfile.TemporaryDirectory() as scratch:
        rec = pack_faces(shared("data", "lfw-112x112.tar"), images, os.path.join(scratch, "faces.rec"))
        seconds, losses = take_turns(contenders(model, rec, args.batch_size), args.runs)
    show(f"training {os.path.basename(os.path.dirname(model))}, batch {args.batch_size}", "images/s",
         rates(images, seconds), "mxft", {name: f"last loss {loss:.4f}" for name, loss in losses.items()})


if __name__ == "__main__":
    main()
