"""``mxft report``: the page of a run, or a page that sets several runs side by side."""
import contextlib
import os
import sys
import traceback

from mxft.commandline.arguments import Parser, add_device_options, whole
from mxft.commandline.verification import FOLDS
from mxft.errors import InputError, MxftError

EXAMPLES = """\
examples:
  mxft report runs/photos
  mxft report runs/photos --records photos-val.rec
  mxft report runs/head runs/full --output compare.html
  mxft report runs/y1/model --data-dir faces --target lfw

A run is the folder of mxft finetune, or the folder or prefix of a face run.
A page holds its pictures and needs no network. Training writes it by itself;
of one run this makes it again: with the best checkpoint evaluated on the
validation records again, or of a face run with the ROC curves it kept and those
of the sets that are named. Of several runs it compares results, curves and
recipes.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft report", description="Write the page of a run, or compare several.", epilog=EXAMPLES)
    p.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or prefixes of face runs")
    p.add_argument("--output", metavar="FILE",
                   help="page to write (default: report.html in the run; of several: compare.html)")
    p.add_argument("--records", metavar="REC", help="records to evaluate on (default: the run's validation records)")
    p.add_argument("--data-dir", metavar="DIR", help="of a face run: folder of TARGET.bin files to verify on")
    p.add_argument("--target", metavar="A,B",
                   help="which of them (default: those of lfw,cfp_fp,agedb_30 that are there)")
    p.add_argument("--bin", nargs="+", default=[], metavar="FILE", help="sets by file name, beside those or alone")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    add_device_options(p)
    p.set_defaults(folds=FOLDS, no_flip=False, image_size=None, rewrite=True)  # as of mxft verify
    return p


def main(argv=None):
    """Run ``mxft report``."""
    args = parser().parse_args(argv)
    sets = bool(args.data_dir or args.target is not None or args.bin)
    if len(args.runs) > 1:
        if args.records or sets:
            raise InputError(f"--{'records' if args.records else 'data-dir, --target, --bin'}: expected with one run, "
                             "received with several; report each by itself first")
        from mxft.workflows.reporting import write_comparison

        with _damaged_runs_refused(args.runs):
            page = write_comparison(args.runs, args.output or "compare.html")
    else:
        from mxft.workflows.reporting import open_run

        with _damaged_runs_refused(args.runs):
            files = open_run(args.runs[0])
        page = _page_of(files, args, sets)
    print(f"report: {os.path.abspath(page)}")


@contextlib.contextmanager
def _damaged_runs_refused(runs):
    """Turn what damaged logs and JSON files of runs make a page stumble over into one message.

    A page shows hundreds of values, each of which may have another type in a damaged file; holding all of them against
    a form would say less than the value it stumbled over. Only what is done with values of such files belongs in here,
    no evaluation of checkpoints; the line that failed is named, so that a defect of the page does not pass for damage.
    """
    from jinja2 import TemplateError

    try:
        yield
    except MxftError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError,
            TemplateError) as error:
        raise InputError(f"report: expected runs whose log.jsonl and .json files are as mxft wrote them, received "
                         f"{', '.join(runs)}, where one is damaged ({type(error).__name__}: {str(error)[:200]}, in "
                         f"{_place_of(error)}); no page was written") from error


def _place_of(error):
    """Return file and line of mxft that an exception came from: the innermost of its own."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(own + os.sep)]
    return f"{os.path.relpath(frames[-1].filename, os.path.dirname(own))}:{frames[-1].lineno}"


def _page_of(files, args, sets):
    """Write the page of one run and return its path."""
    if files.kind == "face":
        from mxft.faces.report.face_page import write_face_page

        if args.records:
            raise InputError(f"--records: expected with a classification run, received the face run {files.place}; "
                             "--data-dir and --target name verification sets")
        verified = _verified(files, args) if sets else None
        with _damaged_runs_refused(args.runs):
            return write_face_page(files.place, args.output, verified)
    from mxft.report.page import write_run_page

    if sets:
        raise InputError(f"--data-dir, --target, --bin: expected with a face run, received the classification run "
                         f"{files.place}; --records names validation records")
    with _damaged_runs_refused(args.runs):
        records, note = (args.records, None) if args.records else _own_records(files)
    score = _score(files.place, args, records) if records else None
    note = note or _changed(files, records)
    score, records, output = (None, None, args.output) if note else (score, getattr(records, "paths", records),
                                                                     args.output)
    if note:
        print(f"not evaluated: {note}", file=sys.stderr)
        output = output or _beside_a_judged_page(files)
    with _damaged_runs_refused(args.runs):
        return write_run_page(files.place, score, records, output, note and f"Not evaluated: {note}.")


def _own_records(files):
    """Return the validation records a run was evaluated on, None where they are gone or changed, and why that is."""
    from mxft.files.whole import sha256

    entry, path = (files.manifest.get("data") or {}).get("val"), files.start.get("records", {}).get("val")
    if entry is None:
        return None, None
    if path is None or not os.path.isfile(path):
        return None, f"the validation records are gone, expected {path or entry['file']}; --records names others"
    if path.endswith(".lst"):
        return _own_pictures(files, path)
    received = sha256(path)
    if received != entry["sha256"]:
        return None, (f"the validation records have changed, expected sha256 {entry['sha256'][:12]} as in the "
                      f"manifest, received {received[:12]} of {path}; --records REC evaluates on others")
    return path, None


def _own_pictures(files, path):
    """Return the PhotographList of a run that read its pictures directly; None where their folder is gone, and why."""
    from mxft.data.lists import iter_list
    from mxft.data.photographs import PhotographList

    root = files.start.get("pictures") or ""
    if not os.path.isdir(root):
        return None, f"the pictures for validation are gone, expected the folder {root}; --records names records"
    return PhotographList(iter_list(path), root, files.manifest.get("packing") or {}), None


def _changed(files, records):
    """Return what is wrong where pictures that were read directly are no longer what the run saw; None of others."""
    if isinstance(records, str) or records is None:
        return None
    expected, received = files.manifest["data"]["val"]["sha256"], records.opened.digest
    return None if received == expected else (
        f"the pictures for validation have changed, expected sha256 {expected[:12]} as in the manifest, received "
        f"{received[:12]} of those in {records.root}; --records REC evaluates on others")


def _beside_a_judged_page(files):
    """Return where a page without an evaluation goes: not over one that may still have it."""
    return files.file("report-not-evaluated.html") if os.path.exists(files.file("report.html")) else None


def _score(run, args, records):
    """Return the Score of a run's best checkpoint."""
    from mxft.devices import contexts
    from mxft.evaluation.scoring import score_records
    from mxft.network.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(run)
    return score_records(checkpoint, checkpoint.input_spec, records, args.batch_size, contexts(args.gpus)[0],
                         args.data_nthreads)[0]


def _verified(files, args):
    """Return {set: Verification} of a face run's best checkpoint."""
    from mxft.commandline.verification import set_paths, verify_sets
    from mxft.network.checkpoint import load_checkpoint

    paths = set_paths(args)
    return {name: result for name, result, _ in verify_sets(load_checkpoint(f"{files.prefix},best"), paths, args)}
