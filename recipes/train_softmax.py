"""Faces: insightface's train_softmax.py, the training script of its MXNet years.

    CUDA_VISIBLE_DEVICES='0,1,2,3' python -u recipes/train_softmax.py \\
        --network r100 --loss-type 4 --margin-m 0.5 --data-dir faces_emore \\
        --prefix ../model-r100 --pretrained '../model-r100, 287'
    python recipes/train_softmax.py --network y1 --version-output GDC \\
        --emb-size 128 --pretrained mobilefacenet-y1/model,0 --lr 0.01 \\
        --data-dir faces --prefix runs/y1/model --per-batch-size 64 \\
        --end-epoch 4 --verbose 200

Every flag and default is upstream's but those of the last two groups. The data
folder holds property, train.rec and train.idx (mxft face-pack makes them) and
the verification sets NAME.bin (mxft pairs-pack). Devices: as many GPUs as
CUDA_VISIBLE_DEVICES lists; the CPU where it is empty. Of the pretrained
checkpoint every parameter is loaded except an fc7 whose size differs; accuracy
then starts near 0. Very many identities: --shard-fc7 divides fc7 over
the devices, and --sample-rate 0.1 trains a tenth of the classes in a step,
those of the batch among them; the others get no weight decay and no momentum.
Triplets, --loss-type 12 with --per-batch-size 60: no fc7, the embedding alone;
--verbose and --end-epoch count as elsewhere, an epoch is as many images as the
set has. Wrong labels: --loss-type subcenter-arcface, then mxft drop-noisy.
Files: PREFIX-symbol.json, PREFIX-best.params, PREFIX-last.params, numbered ones
by --ckpt, PREFIX-log.jsonl, and the page of the run, PREFIX-report.html.

Published: LFW 99.50 % (y1), 99.77 % (r100), ArcFace on MS1M; arXiv:1801.07698.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.backbones.versions import Versions  # noqa: E402
from mxft.command import run_command, status_after  # noqa: E402
from mxft.commandline.arguments import (  # noqa: E402
    add_memory_options,
    add_precision_option,
    add_resume_options,
    add_rewrite_option,
    add_setting,
    add_tensorboard_option,
    face_size,
    numbers,
    real,
    whole,
)
from mxft.commandline.pages import with_page  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.distributed.serving import serve, serves  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.faces.training.options import FaceOptions  # noqa: E402
from mxft.heads.options import HeadOptions  # noqa: E402
from mxft.options import TRAINING_PRECISIONS  # noqa: E402
from mxft.settings import default_of  # noqa: E402

EMB_SIZE = 512  # upstream's
FLAGS = {"lr_steps": "--lr-steps"}  # what messages call a field, where it is not as elsewhere


def parser():
    """Return the argument parser."""
    p = recipe_parser("train_softmax", __doc__)
    _add_run_flags(p.add_argument_group("run"))
    _add_network_flags(p.add_argument_group("network"))
    _add_head_flags(p.add_argument_group("head"))
    _add_triplet_flags(p.add_argument_group("triplets (--loss-type 12 and 13)"))
    _add_optimizer_flags(p.add_argument_group("optimizer"))
    _add_data_flags(p.add_argument_group("images"))
    _add_finetuning_flags(p.add_argument_group("fine-tuning (not upstream's)"))
    _add_machine_flags(p.add_argument_group("machine (not upstream's)"))
    return p


def _flag(group, name, default, text, kind=str, **options):
    shown = "" if default in ("", None, ()) else f" (default: {default})"
    group.add_argument(name, default=default, type=kind, help=text + shown, **{"metavar": "N", **options})


def _own(group, options, field, text, kind=str, flag=None, **more):
    """Add the flag of a dataclass's field, whose default is the field's; of a switch upstream takes 0 and 1."""
    default = default_of(options, field)
    _flag(group, flag or "--" + field.replace("_", "-"), int(default) if isinstance(default, bool) else default, text,
          kind, **more)


def _add_run_flags(g):
    _flag(g, "--data-dir", "", "folder with property, train.rec, train.idx and NAME.bin", metavar="DIR")
    _flag(g, "--prefix", "../model/model", "of the files to write", metavar="PREFIX")
    _flag(g, "--pretrained", "", "checkpoint to begin from", metavar="PREFIX,EPOCH")
    add_setting(g, FaceOptions, "ckpt", "numbered checkpoints: 0 never, 1 when verification improves, 2 always, 3 "
                "always as 1", metavar="N")
    add_setting(g, FaceOptions, "verbose", "steps between verifications", metavar="N")
    add_setting(g, FaceOptions, "max_steps", "stop after so many steps; 0 never", metavar="N")
    add_setting(g, FaceOptions, "end_epoch", "stop after so many epochs", metavar="N")
    _flag(g, "--target", None, "verification sets, '' for none (default: those of lfw,cfp_fp,agedb_30 that are there)",
          metavar="NAME,…")


def _add_network_flags(g):
    _flag(g, "--network", "r50", "r18 r34 r50 r100 … face ResNet, y1 MobileFaceNet, m1 MobileNet, or pretrained: the "
          "checkpoint's own graph", metavar="NAME")
    _flag(g, "--image-size", "112,112", "height, width in pixels", face_size, metavar="H,W")
    _flag(g, "--emb-size", None, f"size of the embedding (default: {EMB_SIZE})", whole(1))
    _own(g, Versions, "se", "1: squeeze-and-excitation", whole(0), flag="--version-se")
    _own(g, Versions, "input", "how the network begins", whole(0), flag="--version-input")
    _own(g, Versions, "output", "how it becomes an embedding; the published y1 has GDC", metavar="NAME",
         flag="--version-output")
    _own(g, Versions, "unit", "residual unit", whole(1), flag="--version-unit")
    _own(g, Versions, "multiplier", "width", real(above=0), metavar="R", flag="--version-multiplier")
    _own(g, Versions, "act", "activation", metavar="NAME", flag="--version-act")
    _flag(g, "--use-deformable", 0, "0: deformable convolutions are not built", whole(0))
    _own(g, Versions, "bn_mom", "momentum of the moving statistics", real(least=0, below=1), metavar="R")


def _add_head_flags(g):
    _flag(g, "--loss-type", "4", "0 softmax, 1 sphereface, 2 cosface, 4 arcface, 5 combined, 6 arcface-intra, 7 "
          "arcface-inter, 12 triplet, 13 triplet-angular, subcenter-arcface; by number or name", metavar="TYPE")
    _own(g, HeadOptions, "margin_m", "margin: radians for ArcFace, cosine for CosFace", real(), metavar="R")
    _own(g, HeadOptions, "margin_s", "scale of the logits", real(above=0), metavar="R")
    _own(g, HeadOptions, "margin_a", "factor on the angle (5)", real(), metavar="R")
    _own(g, HeadOptions, "margin_b", "cosine margin (5), weight of the extra loss (6, 7)", real(), metavar="R")
    _own(g, HeadOptions, "easy_margin", "1: no margin beyond 90 degrees", whole(0, 1))
    _own(g, HeadOptions, "subcenters", "centres of each class of subcenter-arcface", whole(1))
    _own(g, HeadOptions, "margin", "m of SphereFace", whole(1))
    for name in ("beta", "beta_min", "gamma", "power", "scale"):
        _own(g, HeadOptions, name, "of SphereFace's annealing", real(), metavar="R")
    _own(g, HeadOptions, "beta_freeze", "steps before the annealing begins", whole(0))
    g.add_argument("--fc7-no-bias", action="store_true", help="softmax without bias")
    _own(g, HeadOptions, "fc7_lr_mult", "factor on the learning rate of fc7", real(least=0), metavar="R")
    _own(g, HeadOptions, "fc7_wd_mult", "factor on the weight decay of fc7", real(least=0), metavar="R")
    g.add_argument("--ce-loss", action="store_true", help="give the cross-entropy as an output of the saved symbol")


def _add_triplet_flags(g):
    _own(g, HeadOptions, "triplet_alpha", "margin: a squared distance (12) or radians (13)", real(above=0), metavar="R")
    add_setting(g, FaceOptions, "triplet_bag_size", "images that are embedded at once to find triplets among them",
                metavar="N")
    add_setting(g, FaceOptions, "images_per_identity", "of an identity, at most, in a pass over all of them",
                metavar="N")
    add_setting(g, FaceOptions, "triplet_max_ap", "largest distance of a pair that makes a triplet; 0 for any",
                metavar="R")


def _add_optimizer_flags(g):
    add_setting(g, FaceOptions, "lr", "learning rate", metavar="R")
    _own(g, FaceOptions, "lr_steps", "steps after which it falls to a tenth (default: 40k,60k,80k for softmax, "
         "100k,140k,160k else, times 512/batch)", _steps, metavar="N,…")
    add_setting(g, FaceOptions, "wd", "weight decay", metavar="R")
    add_setting(g, FaceOptions, "mom", "momentum", metavar="R")
    add_setting(g, FaceOptions, "per_batch_size", "images of each device", metavar="N")


def _steps(text):
    return numbers(None, int)(text) if text.strip() else ()


def _add_data_flags(g):
    _own(g, FaceOptions, "rand_mirror", "flip half of the images", whole(0, 1))
    add_setting(g, FaceOptions, "cutoff", "side of a random square to grey out", metavar="N")
    add_setting(g, FaceOptions, "color", "1: jitter of brightness, contrast and saturation", metavar="N")
    _flag(g, "--images-filter", 0, "leave out identities with fewer images", whole(0))


def _add_finetuning_flags(g):
    g.add_argument("--freeze", action="append", default=[], metavar="PATTERN",
                   help="parameters that stay as they are, such as 'stage1_*' (comma-separated; may be repeated)")
    add_setting(g, FaceOptions, "freeze_epochs", "freeze for so many epochs, then train everything; without --freeze: "
                "all that was loaded", metavar="N")
    add_setting(g, FaceOptions, "fc7_init", "class centres: keep (those of the checkpoint where they fit), normal "
                "(random), imprint (class means of the pretrained embedding)", metavar="HOW")
    g.add_argument("--reinit-embedding", action="store_true",
                   help="begin the embedding layer again, for another --emb-size or --image-size")


def _add_machine_flags(g):
    _flag(g, "--cpus", 1, "CPU contexts where there is no GPU", whole(1))
    _flag(g, "--data-nthreads", None, "decoding threads (default: one a core)", whole(1))
    _flag(g, "--check", "fast", "of the set, first: fast reads how each record begins, full decodes every image",
          choices=("fast", "full"), metavar="HOW")
    add_setting(g, FaceOptions, "frequent", "steps between lines of the log", metavar="N")
    add_setting(g, FaceOptions, "seed", "of order, mirroring and new weights", metavar="N")
    _own(g, FaceOptions, "kvstore", "local, device or nccl; dist_sync, dist_device_sync or dist_async under "
         "mxft launch", flag="--kv-store", metavar="NAME", dest="kvstore")
    add_memory_options(g, "--per-batch-size")
    add_precision_option(g, "default: fp32", TRAINING_PRECISIONS)
    g.add_argument("--shard-fc7", action="store_true",
                   help="divide the classes of fc7 over the devices, for very many identities: same loss, same files")
    add_setting(g, FaceOptions, "sample_rate", "part of the classes that takes part in a step, drawn at random beside "
                "those of the batch (Partial FC); with --shard-fc7 or one device", metavar="R")
    add_rewrite_option(g)
    add_setting(g, FaceOptions, "engine", "mxnet, torch, or auto: PyTorch where --device names one",
                metavar="NAME")
    add_setting(g, FaceOptions, "device", "of PyTorch: cpu, cuda, cuda:1, mps or xpu", metavar="NAME", default="cpu")
    add_tensorboard_option(g, "PREFIX-tensorboard")
    add_resume_options(g, "--prefix")


def find_backbone(args, checkpoint):
    """Return the FaceBackbone the flags ask for."""
    from mxft.backbones.faces import face_network
    from mxft.faces.training.network import FaceBackbone, pretrained_backbone

    if args.use_deformable:
        raise InputError("use-deformable: expected 0, deformable convolutions are not built, received "
                         f"use-deformable={args.use_deformable}")
    if args.network != "pretrained":
        versions = Versions(se=args.version_se, input=args.version_input, output=args.version_output,
                            unit=args.version_unit, multiplier=args.version_multiplier, act=args.version_act,
                            bn_mom=args.bn_mom)
        emb_size = args.emb_size or EMB_SIZE
        return FaceBackbone(face_network(args.network, emb_size, args.image_size, versions), args.network, emb_size,
                            args.image_size)
    if checkpoint is None:
        raise InputError("network: expected --pretrained with --network pretrained, received none")
    backbone = pretrained_backbone(checkpoint, args.image_size)
    if args.emb_size not in (None, backbone.emb_size):
        raise InputError(f"emb-size: expected {backbone.emb_size}, which the checkpoint's own graph has, received "
                         f"emb-size={args.emb_size}; another one needs --network by name and --reinit-embedding")
    return backbone


def find_devices(args):
    """Return the contexts: the GPUs CUDA_VISIBLE_DEVICES lists, or CPU contexts; or a device of PyTorch's."""
    from mxft.devices import training_devices, visible_gpus

    return training_devices(args, visible_gpus(), args.cpus)


def head_options(args):
    """Return the HeadOptions of the flags; easy_margin is a switch, the rest goes by name."""
    import dataclasses

    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(HeadOptions)}
    return HeadOptions(**{**given, "easy_margin": bool(args.easy_margin)})


def face_options(args):
    """Return the FaceOptions of the flags."""
    import dataclasses

    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(FaceOptions)}
    patterns = tuple(word.strip() for text in args.freeze for word in text.split(",") if word.strip())
    return FaceOptions(**{**given, "freeze": patterns, "rand_mirror": bool(args.rand_mirror)})


def main(argv=None):
    """Read the set, build the network, load the checkpoint, train and verify."""
    args = parser().parse_args(argv)
    if not args.data_dir:
        raise InputError("data-dir: expected a folder with property, train.rec and train.idx, received none; "
                         "mxft face-pack makes one")
    options = face_options(args)
    if serves():
        return serve()
    from mxft.commandline.preflight import event_folder, join_workers
    from mxft.devices import kvstore as check_kvstore
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.data.validation import check_faces
    from mxft.faces.train import train_faces
    from mxft.faces.training.sharding import check_sharding
    from mxft.faces.training.verifying import load_targets
    from mxft.heads import make_head
    from mxft.network.checkpoint import load_checkpoint
    from mxft.training.precision import check_precision
    from mxft.training.resume.state import Keeping

    devices = find_devices(args)
    check_kvstore(args.kvstore)
    check_precision(options, devices)
    checkpoint = load_checkpoint(args.pretrained) if args.pretrained else None
    backbone = find_backbone(args, checkpoint)
    faces = read_face_set(args.data_dir, args.images_filter)
    if faces.image_size not in (None, tuple(args.image_size)):
        raise InputError(f"image-size: expected {faces.image_size[0]},{faces.image_size[1]}, which the data set's "
                         f"property says, received image-size={args.image_size[0]},{args.image_size[1]}")
    if args.check == "full":
        check_faces(faces, args.image_size, args.data_nthreads)
    head = make_head(args.loss_type, faces.num_classes, backbone.emb_size, head_options(args))
    check_sharding(options, head, devices)
    folder = args.data_dir if os.path.isdir(args.data_dir) else os.path.dirname(args.data_dir) or "."
    names = [name.strip() for name in args.target.split(",") if name.strip()] if args.target is not None else None
    targets, absent = load_targets(folder, args.image_size, names)
    if absent:
        print(f"no verification set {', '.join(absent)} in {folder}")
    workers = join_workers(args.kvstore)
    events = event_folder(args.tensorboard, f"{args.prefix}-tensorboard", args.resume) if workers.writes else None
    keeping = Keeping(state_batches=args.save_batches, state_minutes=args.save_minutes, resume=args.resume)

    def train():
        result = train_faces(backbone, head, faces, args.prefix, options, devices, checkpoint, targets,
                             args.data_nthreads, events, keeping)
        return status_after(result.interrupted)

    return with_page(args.prefix, train) if workers.writes else train()


if __name__ == "__main__":
    sys.exit(run_command("train_softmax", main, flags=FLAGS))
