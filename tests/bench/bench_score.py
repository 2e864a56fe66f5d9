"""Images scored a second: mxft's inference executor against ``Module.score`` on the training executor, run in turn.

    python tests/bench/bench_score.py [--model PREFIX,EPOCH] [--image-shape 3,224,224] [--images 256] [--runs 5]

Without a model it takes the ImageNet MobileNetV2 of ../shared or $MXFT_TESTDATA. The records are photographs of the
same place. Both read them through ImageRecordIter; ``mod.score`` runs the network bound for training, as it does after
``fit`` in the tutorial.
"""
import argparse
import os
import tempfile

from turns import rates, shared, show, take_turns, unpack


def pack_photographs(folder, count, classes, prefix):
    """Pack `count` photographs below `folder` with labels below `classes`; return the record file."""
    from mxft.data.folders import scan_folder
    from mxft.data.lists import shuffle, write_list
    from mxft.data.packing import pack_list

    rows = [row._replace(labels=(row.labels[0] % classes,)) for row in shuffle(scan_folder(folder, True).rows)[:count]]
    write_list(prefix + ".lst", rows)
    return pack_list(prefix + ".lst", folder, num_thread=2, resize=256, quality=90, show=False).rec


def contenders(model, rec, count, shape, batch_size):
    """Return {name: function returning top-1}, both bound and warm."""
    from mxft.compat import mx
    from mxft.data.iterators import RecordIterator
    from mxft.evaluation.scoring import score_iterator
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec

    checkpoint = load_checkpoint(model)
    records = RecordIterator(rec, InputSpec(shape), batch_size, count)
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, shape, batch_size)
    theirs = mx.io.ImageRecordIter(path_imgrec=rec, data_shape=shape, batch_size=batch_size, verbose=False)
    module = mx.mod.Module(checkpoint.symbol)
    module.bind(theirs.provide_data, theirs.provide_label, for_training=True)
    module.set_params(checkpoint.arg_params, checkpoint.aux_params)
    return {"mod.score": lambda: dict(module.score(theirs, "acc"))["accuracy"],
            "mxft": lambda: score_iterator(executor, records).top1}


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH")
    p.add_argument("--image-shape", default="3,224,224")
    p.add_argument("--images", type=int, default=256, help="a multiple of the batch size, 32")
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    shape = tuple(int(number) for number in args.image_shape.split(","))
    model = args.model or shared("models", "mobilenet-v2-1.0,0")
    with tempfile.TemporaryDirectory() as scratch:
        rec = pack_photographs(unpack("caltech256-subset.tar", scratch), args.images, 1000,
                               os.path.join(scratch, "bench"))
        seconds, top1 = take_turns(contenders(model, rec, args.images, shape, 32), args.runs)
    show(f"scoring with {os.path.basename(model)}", "images/s", rates(args.images, seconds), "mxft")
    if abs(top1["mxft"] - top1["mod.score"]) > 1e-9:
        raise SystemExit(f"the two disagree: {top1}")


if __name__ == "__main__":
    main()
