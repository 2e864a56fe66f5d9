"""What is told of a split: what was packed, what was left out, and where the files are."""


def say_split(split, records):
    """Print what was split and packed, or that an earlier split still stands.

    Parameters
    ----------
    split : SplitResult or None
    records : Records
    """
    from mxft.data.splits import CLUTTER

    if split is None:
        print(f"records are up to date: {records.train}, {records.val}")
        return
    if CLUTTER in split.excluded:
        print(f"left out {CLUTTER}: the tutorial trained 256 outputs with 257 labels; --keep-clutter brings it back")
    if split.ignored:
        print(f"ignored {len(split.ignored)} that are no images of a class: {some(split.ignored)}")
    if split.without_validation:
        print(f"{len(split.without_validation)} classes have no validation images: {some(split.without_validation)}")
    what = {"multi-label": "label{}, line number (from 0) is output",
            "regression": "number{}, line for line the outputs"}
    told = what.get(records.target, "classes, line number (from 0) is label").format("s" * (len(split.classes) != 1))
    names = f": {some(split.classes)}" if records.target in what else ""
    print(f"wrote {split.classes_path}: {len(split.classes)} {told}{names}")
    print(f"train: {split.train}\nval: {split.val}")


def some(names, most=5):
    """Return the first few of `names` as text."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
