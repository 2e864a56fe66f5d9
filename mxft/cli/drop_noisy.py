"""``mxft drop-noisy``: a face set without its noisy images, by a Sub-center ArcFace checkpoint trained on it."""
from mxft.commandline.arguments import Parser, add_device_options, real

EXAMPLES = """\
examples:
  mxft train-softmax --loss-type subcenter-arcface --subcenters 3 \\
      --data-dir faces --prefix runs/sub/model …
  mxft drop-noisy --model runs/sub/model,last --data-dir faces --output cleaned
  mxft train-softmax --loss-type 4 --data-dir cleaned …

Every class has several centres; the one most of its images are nearest to is
its dominant one. Images farther from it than the threshold are left out:
wrong labels, mostly. OUTPUT is a face set like the first; its dropped.tsv lists
what went, with the angle.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft drop-noisy", description="Drop images far from the dominant sub-centre of their class.",
               epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, as training on the set left it")
    p.add_argument("--data-dir", required=True, metavar="DIR", help="folder with property, train.rec and train.idx")
    p.add_argument("--output", required=True, metavar="DIR", help="folder of the new set")
    p.add_argument("--threshold", type=real(above=0, below=180), default=75.0, metavar="DEG",
                   help="degrees from the dominant sub-centre (default: 75)")
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft drop-noisy``."""
    args = parser().parse_args(argv)
    from mxft.api.models import find_model
    from mxft.devices import contexts
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.drop_noisy import drop_noisy
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint

    check_writable(args.output, "--output")
    checkpoint, faces = load_checkpoint(find_model(args.model)), read_face_set(args.data_dir)
    print(drop_noisy(checkpoint, faces, args.output, args.threshold, contexts(args.gpus, 1)[0], args.data_nthreads))
