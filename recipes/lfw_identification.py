"""Faces: who of 423 people is it, or a stranger? One image of each is enrolled.

    python recipes/lfw_identification.py --lfw lfw-112x112.tar \\
        --model mobilefacenet-y1/model,0
    python recipes/lfw_identification.py --lfw lfw-112x112.tar \\
        --model mobilefacenet-y1/model,0 --model runs/lfw/model,last

The 423 people with 5 images or more, divided as lfw_finetune.py divides them:
of each one image of the training part is enrolled, and the 1,185 images held
out are asked for, together with 1,000 people of whom there is one image. Each
--model is one row: the second is a run of lfw_finetune.py, which has seen the
training part and neither the held-out images nor the strangers.

TPIR at FPIR 0.01: the share of the 1,185 whose own person is nearest, with a
cosine above the tenth highest of the 1,000 strangers.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402

MIN_IMAGES, HOLD_OUT, STRANGERS = 5, 0.2, 1000
RATES = (0.1, 0.01)


def parser():
    """Return the argument parser."""
    p = recipe_parser("lfw_identification", __doc__)
    p.add_argument("--lfw", required=True, metavar="PATH", help="aligned LFW: a folder with a folder a person, or .tar")
    p.add_argument("--model", required=True, action="append", metavar="PREFIX,EPOCH",
                   help="face network; may be repeated")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the division, as of lfw_finetune.py")
    return p


def prepare(args):
    """Pack both parts, unless an earlier run did; return their folder and the strangers' images."""
    from mxft.faces.data.packing import pack_faces
    from mxft.files import archive

    folder = pathlib.Path(archive.folder_of(args.lfw, args.work))
    packed = os.path.join(args.work, f"lfw-{MIN_IMAGES}-people-seed{args.seed}")
    if not os.path.exists(os.path.join(packed, "property")):
        print(pack_faces(str(folder), packed, min_images=MIN_IMAGES, hold_out=HOLD_OUT, seed=args.seed, force=True,
                         num_thread=os.cpu_count() or 1))
    once = [place for place in sorted(folder.iterdir()) if place.is_dir() and len(list(place.iterdir())) == 1]
    return packed, [str(next(place.iterdir())) for place in once[:STRANGERS]]


def measure(model, packed, strangers):
    """Return the Identification of one network."""
    import numpy as np

    from mxft.api.models import open_model
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.evaluation.ijb.identification import identify_templates
    from mxft.faces.gallery.embedder import Embedder
    from mxft.faces.gallery.images import FaceImages, open_face_images

    embedder = Embedder(open_model(model))
    train, held = open_face_images([packed]), os.path.join(packed, "held-out")
    labels = read_face_set(packed, show=False).labels
    first = np.unique(labels, return_index=True)[1]
    enrolled = FaceImages([train.names[i] for i in first], [train.labels[i] for i in first],
                          lambda number: train.read(int(first[number])), [True] * len(first))
    gallery = embedder.embed(enrolled, label="enrolling")
    mated = embedder.embed([held], label="held out")
    others = embedder.embed(strangers, label="strangers")
    probes = np.concatenate([mated.vectors, others.vectors])
    subjects = np.concatenate([read_face_set(held, show=False).labels, np.full(len(others.vectors), -1)])
    return identify_templates(probes, subjects, gallery.vectors, labels[first], RATES)


def main(argv=None):
    """Measure each network, and print a row of each."""
    args = parser().parse_args(argv)
    packed, strangers = prepare(args)
    rows = []
    for model in args.model:
        found = measure(model, packed, strangers)
        rows.append(f"{found.top[1]:9.4f}" + "".join(f"{found.tpir[rate]:16.4f}" for rate in RATES) + f"  {model}")
    print(f"{found.gallery} people enrolled by one image, {found.mated} images and {found.unmated} strangers asked")
    print(f"{'nearest':>9}" + "".join(f"{f'TPIR@FPIR {rate:g}':>16}" for rate in RATES))
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_command("lfw_identification", main))
