"""``mxft verify``: a face checkpoint on verification sets; the flags of insightface's ``eval/verification.py``."""
from mxft.commandline.arguments import Parser, add_device_options, add_rewrite_option, face_size, whole
from mxft.commandline.verification import FOLDS, set_paths, verify_sets, write_results

EXAMPLES = """\
examples:
  mxft verify --model ../models/model-y1,0 --data-dir faces_ms1m --target lfw
  mxft verify --model runs/faces --bin lfw.bin cfp_fp.bin --plots plots

A set is a .bin file (mxft pairs-pack makes one). The embeddings of an image
and of its mirror image are added and normalised; each of 10 contiguous folds is
evaluated with the threshold that does best on the other nine. XNorm is the mean
norm of the embeddings before that. One checkpoint a call: of several epochs
call it for each.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft verify", description="Verify face pairs: accuracy, XNorm, TAR at FAR, AUC.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--data-dir", metavar="DIR", help="folder of TARGET.bin files")
    p.add_argument("--target", metavar="A,B",
                   help="which of them (default: those of lfw,cfp_fp,agedb_30 that are there)")
    p.add_argument("--bin", nargs="+", default=[], metavar="FILE", help="sets by file name, beside those or alone")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--folds", "--nfolds", dest="folds", type=whole(1), default=FOLDS, metavar="N",
                   help=f"contiguous parts of a set (default: {FOLDS})")
    p.add_argument("--no-flip", action="store_true", help="leave the mirror images out: half the time, less accurate")
    p.add_argument("--image-size", type=face_size, metavar="H,W",
                   help="what the network takes (default: the manifest's, or 112,112)")
    p.add_argument("--plots", metavar="DIR", help="write roc.png and NAME-distances.png of each set")
    p.add_argument("--report", metavar="FILE", help="write a page: table, ROC curves, distances")
    p.add_argument("--json", metavar="FILE", help="write the numbers")
    add_device_options(p)
    add_rewrite_option(p)
    p.add_argument("--gpu", dest="gpus", default="", metavar="0", help="upstream's name of --gpus")
    return p


def main(argv=None):
    """Run ``mxft verify``."""
    import os

    args = parser().parse_args(argv)
    paths = set_paths(args)
    from mxft.api.models import find_model
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint

    if args.plots:
        check_writable(args.plots, "--plots")
    for flag, path in (("--report", args.report), ("--json", args.json)):
        if path:
            check_writable(os.path.dirname(os.path.abspath(path)), flag)
    checkpoint = load_checkpoint(find_model(args.model))
    write_results(verify_sets(checkpoint, paths, args), checkpoint, args)
