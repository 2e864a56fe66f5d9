"""Faces: MobileFaceNet fine-tuned on the people of LFW with five images or more.

    python recipes/lfw_finetune.py --lfw lfw-112x112.tar \\
        --pairs lfw-pairs.txt --pretrained mobilefacenet-y1/model,0 \\
        --run runs/lfw
    python recipes/lfw_finetune.py … --pixels 14 --fc7-init imprint
    python recipes/lfw_finetune.py … --pixels 14 --loss-type triplet \\
        --per-batch-size 60 --lr 0.05
    python recipes/lfw_finetune.py … --pixels 14 --loss-type triplet \\
        --per-batch-size 60 --lr 0.05 --pretrained runs/lfw/model,last

423 people have 5 images or more, 5,985 in all. One image in five of each is
held out by a seed, 1,185; the rest, 4,800, are 75 batches of 64 an epoch. Head:
ArcFace, m 0.5, s 64.

What is measured, before and after: how many of the held-out images are nearest
to the centre of their own identity (the centres are class means of the training
images), and LFW verification. These people are in LFW's pairs, so that number
says what was forgotten, not how well new people are told apart. The published
network already places 99.7 % right; --pixels 14 shrinks every face, training
and held out, to 14 pixels and back, where there is something to learn.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command, status_after
from mxft.commandline.arguments import add_setting, add_tensorboard_option, real, whole  # noqa: E402
from mxft.commandline.pages import with_page  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.faces.training.options import FaceOptions  # noqa: E402
from mxft.heads.options import HeadOptions  # noqa: E402

MIN_IMAGES, HOLD_OUT, SIZE = 5, 0.2, (112, 112)
MEASURED = "held-out images at their own identity's centre"


def parser():
    """Return the argument parser."""
    p = recipe_parser("lfw_finetune", __doc__)
    p.add_argument("--lfw", required=True, metavar="PATH", help="aligned LFW: a folder with a folder a person, or .tar")
    p.add_argument("--pairs", required=True, metavar="FILE", help="LFW's pairs.txt")
    p.add_argument("--pretrained", required=True, metavar="PREFIX,EPOCH", help="face checkpoint to begin from")
    p.add_argument("--run", required=True, metavar="DIR", help="folder for the checkpoints: new or empty")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--pixels", type=whole(4, 112), metavar="N", help="shrink every face to N pixels and back")
    p.add_argument("--fc7-init", default="normal", metavar="HOW", help="normal or imprint (default: normal)")
    p.add_argument("--loss-type", default="4", metavar="TYPE", help="of the head (default: 4, ArcFace)")
    p.add_argument("--triplet-alpha", type=real(above=0), default=HeadOptions.triplet_alpha, metavar="R",
                   help=f"margin of the triplet losses, types 12 and 13 (default: {HeadOptions.triplet_alpha:g})")
    add_setting(p, FaceOptions, "triplet_bag_size", "images embedded at once to find triplets", metavar="N")
    add_setting(p, FaceOptions, "images_per_identity", "of an identity, at most, in a pass over all of them",
                metavar="N")
    p.add_argument("--lr", type=real(above=0), default=0.01, metavar="R", help="learning rate (default: 0.01)")
    p.add_argument("--end-epoch", type=whole(1), default=4, metavar="N", help="epochs (default: 4)")
    p.add_argument("--freeze-epochs", type=whole(0), default=0, metavar="N", help="of them with the network frozen")
    p.add_argument("--per-batch-size", type=whole(1), default=64, metavar="N", help="images a batch (default: 64)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of split, order and new weights")
    add_tensorboard_option(p, "RUN/model-tensorboard")
    return p


def shrink(folder, target, pixels):
    """Write a copy of a folder of faces with every image reduced to `pixels` and enlarged again; return its path."""
    from mxft.compat import load_cv2
    from mxft.data.progress import progress

    cv2, photographs = load_cv2(), sorted(pathlib.Path(folder).glob("*/*.jpg"))
    with progress(len(photographs), f"shrinking to {pixels} pixels") as advance:
        for path in photographs:
            place = pathlib.Path(target) / path.parent.name / (path.stem + ".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            small = cv2.resize(cv2.imread(str(path)), (pixels, pixels), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(place), cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_LINEAR))
            advance()
    return str(target)


def prepare(args):
    """Pack training set, held-out set and lfw.bin, unless an earlier run did; return the folder."""
    from mxft.faces.data.packing import pack_faces
    from mxft.faces.pairs.bin_file import pack_pairs
    from mxft.files import archive

    folder = archive.folder_of(args.lfw, args.work)
    packed = os.path.join(args.work, f"lfw-{MIN_IMAGES}-{args.pixels or SIZE[0]}-seed{args.seed}")
    if not os.path.exists(os.path.join(packed, "lfw.bin")):
        source = folder if not args.pixels else shrink(folder, os.path.join(args.work, f"lfw-{args.pixels}"),
                                                       args.pixels)
        print(pack_faces(source, packed, min_images=MIN_IMAGES, hold_out=HOLD_OUT, seed=args.seed, force=True,
                         num_thread=os.cpu_count() or 1))
        print(pack_pairs(args.pairs, folder, os.path.join(packed, "lfw.bin"), SIZE))
    return packed


def held_out_top1(checkpoint, packed):
    """Return the fraction of held-out images nearest to their own identity's centre."""
    from mxft.faces.data.iterators import FaceIterator
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.evaluation.embedding import embedding_executor
    from mxft.faces.evaluation.identification import class_centres, nearest_centre_top1
    from mxft.faces.training.imprint import embed_set

    executor = embedding_executor(checkpoint, 32)
    train, held = (read_face_set(os.path.join(packed, name)) for name in ("", "held-out"))
    embedded = [embed_set(executor, FaceIterator(faces, 32, SIZE, shuffle=False, last="pad"), "embedding")
                for faces in (train, held)]
    centres, _ = class_centres(*embedded[0], train.num_classes)
    return nearest_centre_top1(*embedded[1], centres)


def main(argv=None):
    """Pack, measure, fine-tune, measure again."""
    args = parser().parse_args(argv)
    from mxft.commandline.preflight import event_folder
    from mxft.compat import mx
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.train import train_faces
    from mxft.faces.training.network import pretrained_backbone
    from mxft.faces.training.verifying import load_targets
    from mxft.files.whole import require_file
    from mxft.heads import make_head
    from mxft.network.checkpoint import load_checkpoint
    from mxft.training.run import append_log, check_run_folder

    check_run_folder(args.run)
    prefix = os.path.join(args.run, "model")
    events = event_folder(args.tensorboard, f"{prefix}-tensorboard")
    require_file(args.pairs, "list of pairs")
    checkpoint = load_checkpoint(args.pretrained)
    backbone = pretrained_backbone(checkpoint, SIZE)
    options = FaceOptions(lr=args.lr, end_epoch=args.end_epoch, per_batch_size=args.per_batch_size, seed=args.seed,
                          fc7_init=args.fc7_init, freeze_epochs=args.freeze_epochs, verbose=10**9,
                          triplet_bag_size=args.triplet_bag_size, images_per_identity=args.images_per_identity)
    packed = prepare(args)
    faces = read_face_set(packed)
    before = held_out_top1(checkpoint, packed)
    targets, _ = load_targets(packed, SIZE)
    head = make_head(args.loss_type, faces.num_classes, backbone.emb_size,
                     HeadOptions(triplet_alpha=args.triplet_alpha))

    def train_and_measure():
        result = train_faces(backbone, head, faces, prefix, options, [mx.cpu()], checkpoint, targets,
                             tensorboard=events)
        if result.interrupted:
            return status_after(result.interrupted)
        after = held_out_top1(load_checkpoint(result.last), packed)
        append_log(f"{prefix}-log.jsonl", "measured", name=MEASURED, before=before, after=after)
        print(f"{MEASURED}: {before:.4f} before, {after:.4f} after")
        print("LFW verification above has these people in its pairs")
        return 0

    return with_page(prefix, train_and_measure)


if __name__ == "__main__":
    sys.exit(run_command("lfw_finetune", main))
