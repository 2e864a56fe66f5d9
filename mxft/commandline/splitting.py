"""What is told of a split: what was packed, what was left out, and where the files are."""
from mxft.wording import plural, some


def say_pictures(pictures, more="", file=None):
    """Print in one line what pictures were found and how they are read, and `more`; to `file`, else standard output."""
    from mxft.command.flags import as_flags

    print(as_flags(pictures.describe()) + more, file=file)


def say_split(split, records):
    """Print what was split and packed, or that an earlier split still stands.

    Parameters
    ----------
    split : SplitResult or None
    records : Records
    """
    if split is None:
        print(f"records are up to date: {records.train}, {records.val}")
        return
    if split.without_validation:
        print(f"{plural(len(split.without_validation), 'class has', 'classes have')} no validation images: "
              f"{some(split.without_validation)}")
    if split.duplicates:
        shown = [f"{val} as {train}" for train, val in split.duplicates]
        print(f"{plural(len(shown), 'picture')} for validation also in training, so that the score is too good: "
              f"{some(shown, 3)}; all in {split.val.rec[:-len('-val.rec')]}-duplicates.tsv")
    what = {"multi-label": "label{}, line number (from 0) is output",
            "regression": "number{}, line for line the outputs"}
    told = what.get(records.target, "classes, line number (from 0) is label").format("s" * (len(split.classes) != 1))
    names = f": {some(split.classes)}" if records.target in what else ""
    print(f"wrote {split.classes_path}: {len(split.classes)} {told}{names}")
    print(f"train: {split.train}\nval: {split.val}")
