"""``mxft megaface-features``: feature files for MegaFace's kit; insightface's gen_megaface.py and remove_noises.py."""
from mxft.commandline.arguments import (
    Parser,
    add_device_options,
    add_engine_options,
    add_precision_option,
    add_rewrite_option,
    face_size,
    whole,
)
from mxft.wording import plural

EXAMPLES = """\
examples:
  mxft megaface-features --model r100/model,0 --algo r100 --output feature_out \\
    --facescrub-lst data/facescrub_lst --facescrub-root data/facescrub_images \\
    --megaface-lst data/megaface_lst --megaface-root data/megaface_images
  mxft megaface-features --algo r100 --output feature_out --clean clean \\
    --facescrub-lst data/facescrub_lst --megaface-lst data/megaface_lst \\
    --facescrub-noises data/facescrub_noises.txt \\
    --megaface-noises data/megaface_noises.txt

Images are aligned already. Files are OUTPUT/facescrub/PERSON/IMAGE_ALGO.bin and
OUTPUT/megaface/GROUP/ACCOUNT/IMAGE_ALGO.bin. Images that cannot be read stand
in OUTPUT/facescrub.bad.tsv or megaface.bad.tsv, and the exit status is 3.
--clean writes them once more without the noises, as remove_noises.py does.
"""
KINDS = ("facescrub", "megaface")


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft megaface-features", description="Write feature files for MegaFace's development kit.",
               epilog=EXAMPLES)
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="checkpoint (not given: only --clean)")
    p.add_argument("--output", required=True, metavar="DIR", help="folder of the features")
    p.add_argument("--algo", default="insightface", metavar="NAME", help="ends the files' names (default: insightface)")
    for kind in KINDS:
        p.add_argument(f"--{kind}-lst", metavar="FILE", help=f"list of {kind}'s images")
        p.add_argument(f"--{kind}-root", metavar="DIR", help="their folder")
        p.add_argument(f"--{kind}-noises", metavar="FILE", help="list of its noises, for --clean")
    p.add_argument("--clean", metavar="DIR", help="write features without the noises there")
    p.add_argument("--batch-size", "--batch_size", type=whole(1), default=32, metavar="N",
                   help="images at a time (default: 32)")
    p.add_argument("--image-size", type=face_size, metavar="H,W",
                   help="what the network takes (default: the manifest's, or 112,112)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of what moves a noisy probe (default: 0)")
    add_device_options(p)
    add_precision_option(p)
    add_engine_options(p)
    add_rewrite_option(p)
    return p


def main(argv=None):
    """Run ``mxft megaface-features``."""
    args = parser().parse_args(argv)
    from mxft.errors import RunError
    from mxft.faces.evaluation.megaface.lists import read_images

    kinds = _check(args)
    roots = {kind: getattr(args, f"{kind}_root") if args.model else None for kind in kinds}
    images = {kind: read_images(getattr(args, f"{kind}_lst"), kind, roots[kind]) for kind in kinds}
    noises = _read_noises(args, kinds) if args.clean else {}
    results = _write(args, images, roots) if args.model else []
    if any(result.unreadable for result in results):
        raise RunError("images without a feature: expected all to be readable, received "
                       + " and ".join(f"{result.unreadable} that are not, listed in {result.bad_list}"
                                      for result in results if result.unreadable))
    _clean(args, images, noises)


def _check(args):
    """Return the kinds that were asked for, refusing flags that do not belong together."""
    import os

    from mxft.errors import InputError
    from mxft.files.whole import check_writable

    kinds = [kind for kind in KINDS if getattr(args, f"{kind}_lst")]
    if not kinds:
        raise InputError("nothing to write: expected --facescrub-lst FILE or --megaface-lst FILE, received neither")
    if not args.model and not args.clean:
        raise InputError("nothing to do: expected --model PREFIX,EPOCH or --clean DIR, received neither")
    wanted = [f"{kind}-root DIR" for kind in kinds if args.model and getattr(args, f"{kind}_root") is None]
    wanted += [f"{kind}-noises FILE" for kind in kinds if args.clean and getattr(args, f"{kind}_noises") is None]
    if wanted:
        raise InputError(f"arguments are missing: expected --{wanted[0]} beside --{wanted[0].split('-')[0]}-lst, "
                         "received none")
    if args.clean and os.path.realpath(args.clean) == os.path.realpath(args.output):
        raise InputError(f"--clean: expected another folder than --output, received clean={args.clean!r}")
    if os.path.basename(args.algo) != args.algo:
        raise InputError(f"--algo: expected a part of a file name, received algo={args.algo!r}")
    for flag, folder in (("--output", args.output), ("--clean", args.clean)):
        if folder:
            check_writable(folder, flag)
    return kinds


def _read_noises(args, kinds):
    from mxft.faces.evaluation.megaface.lists import read_noises

    return {kind: read_noises(getattr(args, f"{kind}_noises")) for kind in kinds}


def _write(args, images, roots):
    """Write the features of every list and print a line of each."""
    import os

    from mxft.api.models import find_model
    from mxft.commandline.models import at_precision, context_of
    from mxft.faces.evaluation.embedding import embedding_executor, input_size
    from mxft.faces.evaluation.megaface.features import write_features
    from mxft.network.checkpoint import load_checkpoint

    checkpoint = at_precision(args, load_checkpoint(find_model(args.model)))
    size = args.image_size or input_size(checkpoint)
    executor = embedding_executor(checkpoint, args.batch_size, size, context_of(args), args.rewrite)
    results = []
    for kind, paths in images.items():
        result = write_features(executor, paths, roots[kind], os.path.join(args.output, kind), args.algo, size,
                                args.data_nthreads)
        print(f"{result.folder}: {result.written:,} features", flush=True)
        results.append(result)
    return results


def _clean(args, images, noises):
    """Write the features without the noises and print a line of each list."""
    import os

    from mxft.faces.evaluation.megaface.cleaning import clean_facescrub, clean_megaface

    for kind, theirs in noises.items():
        folders = os.path.join(args.output, kind), os.path.join(args.clean, kind)
        result = (clean_facescrub(images[kind], theirs, *folders, args.algo, args.seed) if kind == "facescrub"
                  else clean_megaface(images[kind], theirs, *folders, args.algo))
        unknown = f"; {plural(result.unknown, 'noise')} not in the list of images" if result.unknown else ""
        print(f"{result.folder}: {result.written:,} features, of them {plural(result.noises, 'noise')}{unknown}",
              flush=True)
