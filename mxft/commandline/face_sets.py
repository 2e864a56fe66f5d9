"""Judging and cleaning a face set as ``mxft face-sets clean`` does it, and the network its actions ask."""
import os

from mxft.commandline.arguments import refuse_flags
from mxft.errors import InputError


def find_embedder(args):
    """Return the SetEmbedder of the flags, None without ``--model``."""
    if not args.model:
        return None
    from mxft.api.models import find_model
    from mxft.devices import contexts
    from mxft.faces.sets.embedding import SetEmbedder
    from mxft.network.checkpoint import load_checkpoint

    return SetEmbedder(load_checkpoint(find_model(args.model)), args.image_size, args.batch_size,
                    contexts(args.gpus)[0], args.data_nthreads)


def clean(args):
    """Judge the labels of a set, say what goes, and write what was asked for; or leave out what a list names."""
    from mxft.faces.sets.cleaning import find_wrong_labels
    from mxft.faces.sets.labels import LEAST_IMAGES, STRANGERS
    from mxft.faces.sets.writing import require_target

    if args.take:
        return _take(args)
    if not args.model:
        raise InputError("labels cannot be judged: expected --model, a face checkpoint, or --take FILE, received "
                         "neither")
    if not (args.out or args.list or args.page):
        raise InputError("nothing to write: expected --page FILE, --list FILE or --out DIR, received none")
    if args.threshold is not None:
        refuse_flags(args, ("strangers",), "no --threshold beside it")
    if args.out:
        require_target(args.out, [args.set], args.force)
    found = find_wrong_labels(args.set, find_embedder(args), args.threshold, args.strangers or STRANGERS,
                              args.min_images or LEAST_IMAGES)
    print(found)
    return _write(args, found)


def _write(args, found):
    """Write the set without what goes, the list and the page."""
    from mxft.faces.report.cleaning_page import write_cleaning_page
    from mxft.faces.sets.cleaning import write_wrong_labels

    gone, beside = found.results.goes.nonzero()[0], None
    if args.out and len(gone):
        _write_set(found.faces, gone, args)
        beside = args.out
    elif args.out:
        print(f"{args.set} can be used as it is: nothing written to {args.out}")
    list_path = args.list or (beside and os.path.join(beside, "wrong-labels.tsv"))
    page = args.page or (beside and os.path.join(beside, "wrong-labels.html"))
    if list_path:
        write_wrong_labels(list_path, found)
        print(f"list: {list_path}")
    if page:
        write_cleaning_page(page, found, list_path)
        print(f"page: {os.path.abspath(page)}")
    return 0


def _take(args):
    """Leave out what a list names."""
    from mxft.faces.sets.images import SetImages

    refuse_flags(args, ("model", "threshold", "strangers", "min_images", "list", "page"), "no --take beside it")
    if not args.out:
        raise InputError("--take: expected --out DIR beside it, received none")
    _write_set(SetImages(args.set), args.take, args)
    return 0


def _write_set(faces, gone, args):
    from mxft.faces.sets.cleaning import write_clean_set

    images, people = write_clean_set(faces, gone, args.out, args.force)
    print(f"wrote {images:,} images of {people:,} people to {args.out}")
