"""``mxft report``: the page of a run, or a page that sets several runs side by side."""
from mxft.cli.arguments import Parser, add_device_options, whole
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft report runs/photos
  mxft report runs/photos --records photos-val.rec
  mxft report runs/head runs/full --output compare.html

A page holds its pictures and needs no network. mxft finetune writes
report.html by itself; of one run this makes it again, with the best checkpoint
judged on the validation records anew. Of several it compares results, curves
and recipes.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft report", description="Write the page of a run, or compare several.", epilog=EXAMPLES)
    p.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    p.add_argument("--output", metavar="FILE",
                   help="page to write (default: report.html in the run; of several: compare.html)")
    p.add_argument("--records", metavar="REC", help="records to judge on (default: the run's own validation records)")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    add_device_options(p)
    return p


def main(argv=None):
    """Run ``mxft report``."""
    args = parser().parse_args(argv)
    import os

    from mxft.report.page import RunFiles, write_comparison, write_run_page

    if len(args.runs) > 1:
        if args.records:
            raise InputError("--records: expected with one run, received it with several; report each by itself first")
        page = write_comparison(args.runs, args.output or "compare.html")
    else:
        files = RunFiles(args.runs[0])
        records = args.records or _own_records(files)
        score = _score(args, records) if records else None
        page = write_run_page(args.runs[0], score, records, args.output)
    print(f"report: {os.path.abspath(page)}")


def _own_records(files):
    """Return the validation records a run was judged on, None where it had none; refuse others of their name."""
    import os

    from mxft.files import sha256

    entry, path = (files.manifest.get("data") or {}).get("val"), files.start.get("records", {}).get("val")
    if entry is None:
        return None
    if path is None or not os.path.isfile(path):
        raise InputError(f"validation records are not found: expected {path or entry['file']}, received none; "
                         "--records names them")
    received = sha256(path)
    if received != entry["sha256"]:
        raise InputError(f"validation records have changed: expected sha256 {entry['sha256'][:12]} as in the manifest, "
                         f"received {received[:12]} of {path}; --records REC judges on others")
    return path


def _score(args, records):
    """Return the Score of a run's best checkpoint."""
    from mxft.checkpoint import load_checkpoint
    from mxft.devices import contexts
    from mxft.evaluation.scoring import score_records

    checkpoint = load_checkpoint(args.runs[0])
    return score_records(checkpoint, checkpoint.input_spec, records, args.batch_size, contexts(args.gpus)[0],
                         args.data_nthreads)[0]
