"""``mxft face-sets``: the same people, the same images and wrong labels in face sets; sets merged and cleaned."""
from mxft.commandline.arguments import Parser, add_device_options, face_size, real, refuse_flags, whole
from mxft.commandline.face_sets import clean, find_embedder

EXAMPLES = """\
examples:
  mxft face-sets compare faces-a faces-b --model mobilefacenet-y1/model,0
  mxft face-sets merge faces-a faces-b --out faces --join-names
  mxft face-sets duplicates faces-a faces-b --list duplicates.tsv
  mxft face-sets clean faces --model mobilefacenet-y1/model,0 \\
      --page wrong-labels.html --list wrong-labels.tsv
  mxft face-sets clean faces --take wrong-labels.tsv --out faces-clean
  mxft face-sets overlap faces --target lfw.bin --model mobilefacenet-y1/model,0

A SET is a face set (a folder with property, train.rec and train.idx, or its
train.rec), im2rec's .rec, or a folder with a folder of aligned images a
person. Sources are only read: what is written is a new set in --out. The
cosines are of --model's embeddings and class centres; mxft face-sets ACTION
--help says which threshold is taken.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft face-sets", epilog=EXAMPLES,
               description="Find the same people, the same images and wrong labels in face sets;\n"
                           "merge and clean them.")
    actions = p.add_subparsers(dest="action", metavar="action", required=True)
    _add_compare(actions)
    _add_merge(actions)
    _add_duplicates(actions)
    _add_clean(actions)
    _add_overlap(actions)
    return p


def _add_compare(actions):
    p = actions.add_parser("compare", help="the people that are in two sets",
                           description="Find the people that are in two sets: by the cosine of their centres,\nand by "
                           "name; without --model by name alone.")
    p.add_argument("first", metavar="SET", help="face set, .rec, or folder of people")
    p.add_argument("second", metavar="SET2", help="the one it is compared with")
    p.add_argument("--threshold", type=real(above=-1, below=1), metavar="R",
                   help="least cosine of two centres (default: what different people of these sets would reach "
                        "--false-pairs times in all the pairs compared)")
    p.add_argument("--false-pairs", type=real(above=0), metavar="R", help="see --threshold (default: 1)")
    p.add_argument("--list", metavar="FILE", help="write the pairs, for merge --join-list")
    _add_out(p, "write SET without the people of SET2: to train on, where SET2 is tested on")
    _add_model(p, required=False)


def _add_merge(actions):
    p = actions.add_parser("merge", help="several sets in one", description="Write several sets as one: new labels, "
                           "names kept, bytes unchanged.\nPeople of one name stay apart unless they are joined.")
    p.add_argument("sets", nargs="+", metavar="SET", help="two or more, of one image size")
    _add_out(p, "folder of the set to write", required=True)
    p.add_argument("--join-names", action="store_true", help="people of the same name are one")
    p.add_argument("--join-list", metavar="FILE", help="these are one: a list of compare --list")


def _add_duplicates(actions):
    p = actions.add_parser("duplicates", help="images that stand several times", description="Find images that stand "
                           "several times: the same bytes, the same pixels, or\nnear (another size or quality), within "
                           "a person, under two names, in two sets.")
    p.add_argument("sets", nargs="+", metavar="SET", help="one or more: face set, .rec, or folder of people")
    p.add_argument("--list", metavar="FILE", help="write them, an image a line")
    p.add_argument("--data-nthreads", type=whole(1), metavar="N", help="decoding threads (default: one a core)")


def _add_clean(actions):
    p = actions.add_parser("clean", help="images whose label seems wrong", description="Find images that are far from "
                           "the centre of their person, or nearer to\nanother's; list them, show them, write a set "
                           "without them.")
    p.add_argument("set", metavar="SET", help="face set, .rec, or folder of people")
    _add_out(p, "write the set without them")
    p.add_argument("--list", metavar="FILE", help="write what goes and why (default: wrong-labels.tsv in --out)")
    p.add_argument("--page", metavar="FILE", help="write a page to look at it (default: wrong-labels.html in --out)")
    p.add_argument("--take", metavar="FILE", help="leave out what this list names, edited or not, instead of judging")
    p.add_argument("--threshold", type=real(above=-1, below=1), metavar="R",
                   help="least cosine with the centre of the person's other images (default: what a part --strangers "
                        "of the images reach with other people's centres)")
    p.add_argument("--strangers", type=real(above=0, below=1), metavar="R", help="see --threshold (default: 0.001)")
    p.add_argument("--min-images", type=whole(3), metavar="N", help="of a person that is judged (default: 3)")
    _add_model(p, required=False)


def _add_overlap(actions):
    p = actions.add_parser("overlap", help="what verification sets have in common with one", description="Find the "
                           "images of verification sets that are in a training set, and with\n--model the people.")
    p.add_argument("set", metavar="SET", help="the training set")
    p.add_argument("--target", nargs="+", required=True, metavar="FILE", help="verification sets, .bin files")
    p.add_argument("--threshold", type=real(above=-1, below=1), metavar="R",
                   help="least cosine of an image with a person's centre (default: what one stranger in 100 would "
                        "reach with the nearest of all)")
    p.add_argument("--list", metavar="FILE", help="write the images and people found")
    _add_model(p, required=False)


def _add_out(p, text, required=False):
    p.add_argument("--out", metavar="DIR", required=required, help=text)
    p.add_argument("--force", action="store_true", help="replace the set in --out")


def _add_model(p, required):
    p.add_argument("--model", metavar="PREFIX,EPOCH", required=required,
                   help="face checkpoint, folder of a run, or zoo name")
    p.add_argument("--image-size", type=face_size, metavar="H,W",
                   help="what the network takes (default: the manifest's, or 112,112)")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    add_device_options(p)


def main(argv=None):
    """Run ``mxft face-sets compare|merge|duplicates|clean|overlap``."""
    import os

    args = parser().parse_args(argv)
    from mxft.files.whole import check_writable

    for flag in ("list", "page"):
        if getattr(args, flag, None):
            check_writable(os.path.dirname(os.path.abspath(getattr(args, flag))), f"--{flag}")
    if getattr(args, "out", None):
        check_writable(args.out, "--out")
    return {"compare": _compare, "merge": _merge, "duplicates": _duplicates, "clean": clean,
            "overlap": _overlap}[args.action](args)


def _compare(args):
    from mxft.faces.sets.comparing import compare_sets
    from mxft.faces.sets.people import FALSE_PAIRS

    if not args.model:
        refuse_flags(args, ("threshold", "false_pairs", "image_size"), "--model beside it")
    if args.threshold is not None:
        refuse_flags(args, ("false_pairs",), "no --threshold beside it")
    print(compare_sets(args.first, args.second, find_embedder(args), args.threshold, args.false_pairs or FALSE_PAIRS,
                       args.list, args.out, args.force))


def _merge(args):
    from mxft.faces.sets.merging import merge_sets

    print(merge_sets(args.sets, args.out, args.join_names, args.join_list, args.force))


def _duplicates(args):
    from mxft.faces.sets.duplicates import find_set_duplicates

    print(find_set_duplicates(args.sets, args.list, args.data_nthreads))


def _overlap(args):
    from mxft.commandline.verification import with_different_names
    from mxft.faces.pairs.bin_file import load_pairs
    from mxft.faces.sets.overlap import measure_overlap

    if not args.model:
        refuse_flags(args, ("threshold", "image_size"), "--model beside it")
    targets = with_different_names([load_pairs(path) for path in args.target])
    print(*measure_overlap(args.set, targets, find_embedder(args), args.threshold, args.list, args.data_nthreads),
          sep="\n")
