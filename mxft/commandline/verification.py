"""Verification as a command does it: the sets that were asked for, their lines, pictures and numbers."""
from mxft.commandline.arguments import refuse_flags

FOLDS = 10  # contiguous parts of a set, as in LFW's protocol


def verify_sets(checkpoint, paths, args):
    """Verify a checkpoint on sets, all of which are looked at before the first is verified, and print their lines.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    paths : list of str
    args : argparse.Namespace
        With the flags of ``mxft verify``.

    Returns
    -------
    list of (str, Verification, dict)
        Name, result and row of the JSON file.
    """
    from mxft.commandline.models import context_of
    from mxft.faces.evaluation.embedding import embedding_executor, input_size
    from mxft.faces.evaluation.verification import check_folds
    from mxft.faces.pairs.bin_file import check_images, load_pairs

    context = context_of(args)
    size = args.image_size or input_size(checkpoint)
    sets = with_different_names([load_pairs(path) for path in paths])
    for pair_set in sets:
        check_images(pair_set, size)
        check_folds(len(pair_set.issame), args.folds)
    executor = embedding_executor(checkpoint, args.batch_size, size, context, args.rewrite)
    return [_verify(executor, pair_set, path, size, args) for pair_set, path in zip(sets, paths)]


def set_paths(args):
    """Return the ``.bin`` files that were asked for.

    Raises
    ------
    InputError
        None was, or one is not there; the nearest names are given.
    """
    import os
    import sys

    from mxft.errors import InputError, MissingFileError
    from mxft.faces.pairs.sets import find_sets
    from mxft.files.whole import require_file

    if args.target is not None and not args.data_dir:
        raise InputError(f"--target: expected --data-dir DIR beside it, received target={args.target!r} alone; a file "
                         "is named with --bin")
    if not args.data_dir:
        if not args.bin:
            raise InputError("nothing to verify: expected --data-dir DIR or --bin FILE, received neither")
        return [require_file(path, "verification set") for path in args.bin]
    names = None if args.target is None else [word.strip() for word in args.target.split(",") if word.strip()]
    found, absent = find_sets(args.data_dir, names)
    if not found and not args.bin:
        there = ", ".join(sorted(name for name in os.listdir(args.data_dir) if name.endswith(".bin")))
        raise MissingFileError(f"nothing to verify: expected any of {', '.join(absent)} as .bin in {args.data_dir}, "
                               f"received {there or 'no .bin file'}; name what is there with --target")
    if absent:
        print(f"not in {args.data_dir}: {', '.join(absent)}", file=sys.stderr)
    return found + [require_file(path, "verification set") for path in args.bin]


def with_different_names(sets):
    """Number the sets that share a name with one before: two folders may each hold an ``lfw.bin``."""
    import dataclasses

    names = []
    for pair_set in sets:
        name, count = pair_set.name, 2
        while name in names:
            name, count = f"{pair_set.name}-{count}", count + 1
        names.append(name)
    return [dataclasses.replace(pair_set, name=name) for pair_set, name in zip(sets, names)]


def _verify(executor, pair_set, path, size, args):
    """Verify one set, print its lines, and return (name, Verification, row of the JSON file)."""
    import time

    from mxft.data.progress import progress
    from mxft.faces.evaluation.pair_scoring import distinct_images, verify_pairs
    from mxft.machine.quiet import quiet_native

    images = len(distinct_images(pair_set)[0])
    began = time.perf_counter()
    with quiet_native(), progress(images, f"verifying {pair_set.name}") as advance:
        result = verify_pairs(executor, pair_set, args.folds, not args.no_flip, size, args.data_nthreads, advance)
    seconds = time.perf_counter() - began
    rate = images * (1 if args.no_flip else 2) / seconds
    _print(pair_set, images, result, "Accuracy" if args.no_flip else "Accuracy-Flip", rate, seconds)
    return pair_set.name, result, {"name": pair_set.name, "path": path, "flip": not args.no_flip, **result.to_dict(),
                                   "distinct_images": images, "seconds": round(seconds, 3),
                                   "images_per_second": round(rate, 1)}


def _print(pair_set, images, result, what, rate, seconds):
    """Print one set's numbers, XNorm and accuracy in upstream's words."""
    _print_result(pair_set.name, f"{str(pair_set).split(': ', 1)[1]}, {images} images", result, what)
    name = f"[{pair_set.name}]"
    print(f"{name}{rate:.0f} images/s with their mirror images, {seconds:.1f} s" if what.endswith("Flip")
          else f"{name}{rate:.0f} images/s, {seconds:.1f} s", flush=True)


def _print_result(name, told, result, what):
    """Print the numbers of one set."""
    name = f"[{name}]"
    print(f"{name}{told}")
    print(f"{name}XNorm: {result.xnorm:f}")
    print(f"{name}{what}: {result}")
    for far in result.tar:
        limit = result.threshold_at(far)
        at = "" if limit is None else f" (squared distance below {limit:.4f}, cosine above {1 - limit / 2:.4f})"
        print(f"{name}TAR@FAR {far:g}: {result.tar_text(far)}{at}")
    print(f"{name}AUC: {'needs same and different pairs' if result.auc is None else format(result.auc, '.5f')}")
    for note in result.notes:
        print(f"{name}note: {note}")


def verify_file(args):
    """Verify the embeddings of a file, and print and write what `verify_sets` would; return the exit status."""
    import os

    from mxft.errors import InputError
    from mxft.faces.evaluation.verification import verify_embeddings
    from mxft.faces.gallery.embedding_file import read_embeddings
    from mxft.faces.gallery.pairs import pairs_of

    for name in ("model", "pictures", "data_dir", "bin", "target"):
        if getattr(args, name):
            raise InputError(f"`embeddings`: expected no network and no other images, received "
                             f"`{name}={getattr(args, name)!r}` beside it; leave one out")
    _refuse_of_networks(args)
    check_written(args)
    found = read_embeddings(args.embeddings)
    left, right, issame = pairs_of(found, args.pairs, args.embeddings)
    vectors = found["embeddings"]
    result = verify_embeddings(vectors[left], vectors[right], issame, args.folds,
                               float(found["norms"][[*left, *right]].mean()))
    name = os.path.splitext(os.path.basename(args.pairs or args.embeddings))[0]
    flip = found["facts"].get("flip", True)
    _print_result(name, f"{len(issame)} pairs ({int(issame.sum())} same, {int((~issame).sum())} different)", result,
                  "Accuracy-Flip" if flip else "Accuracy")
    row = {"name": name, "path": args.embeddings, "flip": flip, **result.to_dict()}
    write_results([(name, result, row)], found["facts"].get("model", args.embeddings), args)
    return 0


def _refuse_of_networks(args):
    """Refuse flags that say how a network is run, or which faces of pictures are taken: the embeddings are there."""
    from mxft.errors import InputError

    refuse_flags(args, ("threshold", "far", "detector", "min_size", "confidence", "choose", "turned", "every",
                        "no_flip", "image_size", "data_nthreads", "gpus"), "a network to embed with",
                 f"beside `embeddings` {args.embeddings}; leave one out")
    if args.images != "auto":
        raise InputError(f"`images`: expected a network to embed with, received images={args.images!r} beside "
                         f"`embeddings` {args.embeddings}; leave one out")


def check_written(args):
    """Refuse, before any work, files that could not be written."""
    import os

    from mxft.files.whole import check_writable

    if args.plots:
        check_writable(args.plots, "--plots")
    for flag, path in (("--report", args.report), ("--json", args.json)):
        if path:
            check_writable(os.path.dirname(os.path.abspath(path)), flag)


def refuse_of_pictures(args):
    """Refuse flags that only two pictures, or embeddings, have a use for."""
    from mxft.errors import InputError

    refuse_flags(args, ("threshold", "pairs", "far", "detector", "min_size", "confidence", "choose", "turned", "every"),
                 "two pictures to compare", "with none")
    if args.images != "auto":
        raise InputError(f"`images`: expected two pictures to compare, received images={args.images!r} with none; the "
                         "images of a verification set are aligned faces")


def write_results(rows, model, args):
    """Write the pictures and the JSON file that were asked for, and say where."""
    import os

    if args.plots:
        from mxft.faces.report.verification_plots import draw_distances, draw_roc

        results = {name: result for name, result, _ in rows}
        draw_roc(results, os.path.join(args.plots, "roc.png"))
        for name, result in results.items():
            draw_distances(result, name, os.path.join(args.plots, f"{name}-distances.png"))
        print(f"plots: {os.path.join(args.plots, 'roc.png')} and "
              + ", ".join(f"{name}-distances.png" for name in results))
    if args.json:
        from mxft.files.whole import write_json

        write_json(args.json, {"model": model, "sets": [row for _, _, row in rows]})
        print(f"numbers: {args.json}")
    if args.report:
        from mxft.faces.report.verification_page import write_verification_page

        write_verification_page(args.report, model, {name: result for name, result, _ in rows})
        print(f"report: {os.path.abspath(args.report)}")
