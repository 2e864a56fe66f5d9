"""Faces: the two-phase script users of insightface passed around, made right.

    python recipes/face_two_phase.py --data-dir faces \\
        --pretrained mobilefacenet-y1/model,0 --prefix runs/two-phase/model

Phase 1: every pretrained parameter gets the learning-rate multiplier 0, so one
epoch trains the new fc7 alone. Phase 2: the multipliers go back and the whole
network trains. Both are Module.fit on one Module with one optimizer; only
opt.set_lr_mult stands between them.

As posted it was wrong in three places. Phase 2 set the multipliers to the
learning rate itself, so 0.1 meant steps of 0.1 x 0.1: here they return to 1.
It wrote the moving statistics into the multiplier table, where they mean
nothing: they move whatever the multipliers are, unless the graph says they do
not (--bn eval, the default here, for both phases; --bn train lets them move).
And weight decay: a multiplier of 0 stops it too, which is what frozen means.

Last and best are saved at the end of every epoch; Ctrl-C saves what there is.
PREFIX-report.html shows the run.
A multiplier of 0 still pays for the whole backward pass. train_softmax.py
--freeze-epochs 1 does the same by leaving the gradients out, and is faster.
"""
import logging
import math
import os
import pathlib
import shlex
import sys
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command, status_after
from mxft.commandline.arguments import add_tensorboard_option, real, whole  # noqa: E402
from mxft.commandline.pages import with_page  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError, RunError  # noqa: E402


def parser():
    """Return the argument parser."""
    p = recipe_parser("face_two_phase", __doc__)
    p.add_argument("--data-dir", required=True, metavar="DIR", help="folder with property, train.rec and train.idx")
    p.add_argument("--pretrained", required=True, metavar="PREFIX,EPOCH", help="checkpoint to begin from")
    p.add_argument("--prefix", required=True, metavar="PREFIX", help="of the files to write")
    p.add_argument("--loss-type", default="4", metavar="TYPE", help="of the new head (default: 4, ArcFace)")
    p.add_argument("--lr", type=real(above=0), default=0.01, metavar="R", help="learning rate (default: 0.01)")
    p.add_argument("--frozen-epochs", type=whole(1), default=1, metavar="N", help="of phase 1 (default: 1)")
    p.add_argument("--end-epoch", type=whole(1), default=100, metavar="N", help="end of phase 2 (default: 100)")
    p.add_argument("--per-batch-size", type=whole(1), default=128, metavar="N", help="images a device (default: 128)")
    p.add_argument("--bn", choices=["eval", "train"], default="eval",
                   help="moving statistics: eval keeps them, train moves them (default: eval)")
    p.add_argument("--cpus", type=whole(1), default=1, metavar="N", help="CPU contexts where there is no GPU")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of order and new weights (default: 0)")
    add_tensorboard_option(p, "PREFIX-tensorboard")
    return p


def build(args, checkpoint, num_classes):
    """Return the training network on the checkpoint's own embedding, and what it takes over."""
    from mxft.faces.training.network import attach_face_head, pretrained_backbone
    from mxft.faces.training.transfer import transfer_face
    from mxft.heads import make_head

    backbone = pretrained_backbone(checkpoint)
    network = attach_face_head(backbone.symbol, make_head(args.loss_type, num_classes, backbone.emb_size))
    return network, transfer_face(network, checkpoint, (3, 112, 112), keep_head=False)


def log_start(run, args, faces, network, transfer, train, devices):
    """Write down what was asked, and what was loaded."""
    run.write_json("transfer.json", transfer.report.to_dict())
    parameters, frozen = len(network.backbone_parameters) + len(network.head.parameters), len(transfer.arg_params)
    run.log("start", model=args.pretrained, options=vars(args), network="pretrained", head=network.head.describe(),
            devices=[str(device) for device in devices],
            data={"path": os.path.abspath(faces.rec), "images": len(faces.labels), "identities": faces.identities,
                  "batch_size": train.batch_size, "steps_an_epoch": train.batches},
            phases=[{"until": args.frozen_epochs, "trainable": parameters - frozen, "frozen": frozen},
                    {"until": args.end_epoch, "trainable": parameters, "frozen": 0}])


def require_unchanged(before, after):
    """Stop (RunError) unless every array of `before` is bit for bit in `after`, and say how many are."""
    kept = sum(bool((value == after[name]).asnumpy().all()) for name, value in before.items())
    if kept < len(before):
        raise RunError(f"phase 1: expected {len(before)} frozen arrays to stay, received {kept}")
    print(f"phase 1: {kept} frozen arrays are bit for bit the checkpoint's", flush=True)


def keep_each_epoch(run, metric, train, lr):
    """Return an epoch-end callback: it logs the epoch's means and saves last and best, or stops what diverged."""
    began = time.perf_counter()

    def end_of_epoch(epoch, symbol, arg_params, aux_params):
        nonlocal began
        figures, seconds = dict(zip(*metric.get())), time.perf_counter() - began
        if not math.isfinite(figures["loss"]):
            kept = f"the last good checkpoint is {run.last}" if run.last else "nothing was saved yet"
            raise RunError(f"training stopped: expected a finite loss, received {figures['loss']:g} in epoch "
                           f"{epoch + 1}: {kept}; try --lr {lr / 10:g}")
        step, rate = (epoch + 1) * train.batches, train.batches * train.batch_size / seconds
        run.log("interval", step=step, epoch=epoch + 1, seconds=round(seconds, 3), images_per_second=round(rate, 1),
                lr=lr, **figures)
        saved = run.keep(-figures["loss"], arg_params, aux_params, {"epoch": epoch + 1, "step": step, **figures})
        run.log("checkpoint", step=step, loss=figures["loss"], accuracy=None, saved=saved)
        print(f"epoch {epoch + 1}: loss {figures['loss']:.4f}, accuracy {figures['margin_correct']:.4f} with margin, "
              f"{figures['correct']:.4f} without; saved {', '.join(saved)}", flush=True)
        began = time.perf_counter()
    return end_of_epoch


def train_both_phases(module, frozen_epochs, end_epoch, common):
    """Fit fc7 on frozen arrays, then everything; `common` are the arguments of both calls of ``Module.fit``."""
    from mxft.compat import mx
    from mxft.training.interruption import Interruption

    optimizer, frozen, batch_size = common["optimizer"], common["arg_params"], common["train_data"].batch_size
    with Interruption() as interruption:
        def callbacks():  # a Speedometer for each phase: it measures from its first batch
            return [mx.callback.Speedometer(batch_size, 20, auto_reset=False), interruption]

        optimizer.set_lr_mult(dict.fromkeys(frozen, 0))
        module.fit(num_epoch=frozen_epochs, batch_end_callback=callbacks(), **common)
        require_unchanged(frozen, module.get_params()[0])
        optimizer.set_lr_mult({})
        print("phase 2: every multiplier is 1 again", flush=True)
        module.fit(begin_epoch=frozen_epochs, num_epoch=end_epoch, batch_end_callback=callbacks(), **common)


def main(argv=None):
    """Train fc7 on a frozen network, then everything, and write the page of it."""
    args = parser().parse_args(argv)
    return with_page(args.prefix, lambda: train(args))


def train(args):
    """Train; return the exit status."""
    if args.frozen_epochs >= args.end_epoch:
        raise InputError(f"end-epoch: expected more than the {args.frozen_epochs} frozen epochs, received "
                         f"end-epoch={args.end_epoch}")
    from mxft.commandline.preflight import event_folder
    from mxft.compat import mx
    from mxft.devices import contexts, visible_gpus
    from mxft.faces.data.iterators import FaceIterator
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.training.checkpoints import FaceRun
    from mxft.faces.training.meters import MonitorMetric
    from mxft.network.checkpoint import load_checkpoint
    from mxft.report.event_files import EventFiles
    from mxft.rewrite import rewrite_for_training
    from mxft.surgery import states_kept
    from mxft.training.fit import seed_everything, silent_logger

    devices, events = contexts(visible_gpus(), args.cpus), event_folder(args.tensorboard, f"{args.prefix}-tensorboard")
    checkpoint = load_checkpoint(args.pretrained)
    faces = read_face_set(args.data_dir)
    network, transfer = build(args, checkpoint, faces.num_classes)
    seed_everything(args.seed)
    batches = FaceIterator(faces, args.per_batch_size * len(devices), seed=args.seed, mirror=True)
    run = FaceRun(args.prefix, network.saved, {"format": 1, "input": {"size": 112}}, ckpt=0)
    if events:
        run.listen(EventFiles(events))
    log_start(run, args, faces, network, transfer, batches, devices)
    print(transfer.report.summary(), flush=True)

    bound = states_kept(network.bound) if args.bn == "eval" else network.bound
    module = mx.mod.Module(rewrite_for_training(bound, devices[0].device_type)[0], ["data"], ["softmax_label"],
                           context=devices, logger=silent_logger())
    optimizer = mx.optimizer.SGD(learning_rate=args.lr, momentum=0.9, wd=0.0005, rescale_grad=1 / len(devices),
                                 sym=module.symbol)  # the multipliers fc7 carries in the graph are kept
    warnings.filterwarnings("ignore", "Optimizer created manually|Parameters already initialized")  # both on purpose
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    metric = MonitorMetric()
    common = {"train_data": batches, "eval_metric": metric, "kvstore": "device", "optimizer": optimizer,
              "arg_params": transfer.arg_params, "aux_params": transfer.aux_params, "allow_missing": True,
              "initializer": mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2),
              "epoch_end_callback": keep_each_epoch(run, metric, batches, args.lr)}
    try:
        train_both_phases(module, args.frozen_epochs, args.end_epoch, common)
    except KeyboardInterrupt as interrupt:
        if not module.params_initialized:
            raise
        mx.nd.waitall()
        print(f"interrupted; saved as {run.save('last', *module.get_params(), {'interrupted': True})}")
        run.log("end", best=run.best, last=f"{run.prefix},last", interrupted=True)
        return status_after(str(interrupt) or "SIGINT")
    except RunError as error:
        run.log("failed", reason=str(error))
        raise
    run.log("end", best=run.best, last=run.last, interrupted=False)
    print(f"saved {run.last}, the epoch of the lowest loss {run.best}; for deployment: "
          f"python tools/model_slim.py --model {shlex.quote(run.last)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("face_two_phase", main))
