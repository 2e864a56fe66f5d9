"""Hold a record file, its index, property and identity names against each other; every check says all it found."""
import os

import numpy as np

from mxft.data.classes import read_classes
from mxft.data.recordio import read_index
from mxft.errors import InputError
from mxft.faces.data.set_files import as_column, read_property
from mxft.faces.data.sources import NAMES
from mxft.faces.inspection.facts import Inspection, describe_identities, describe_images
from mxft.faces.inspection.ranges import check_bounds
from mxft.faces.inspection.records import scan_records

MENDS = "mxft.data.recordio.write_index makes it again from the records"


def inspect_set(path, decode_all=False, num_thread=1, show=None):
    """Explain a ``.rec`` file with what stands beside it.

    Parameters
    ----------
    path : str
    decode_all, num_thread, show
        As in `mxft.faces.inspection.inspect.inspect_path`.

    Returns
    -------
    Inspection
    """
    table = scan_records(path, decode_all, num_thread, show)
    bounds = table.bounds
    found = Inspection(table.path, "training set in insightface's layout" if bounds.any() else
                       "plain record file: no header record, all records are images, as im2rec packs them")
    if table.damage:
        found.problems.append(f"only the first {len(table.ids)} records can be read: {table.damage}")
    keys = _check_index(found, table, bounds.any())
    images = ~bounds
    _describe_records(found, keys, bounds)
    if images.any():
        labels = _check_labels(found, table, keys, images)
        _check_images(found, table, keys, images, decode_all)
        _check_property(found, table, labels, keys, images)
    elif not table.damage:
        found.problems.append("there are no images")
    if bounds.any():
        check_bounds(found, table, keys)
    return found


def _describe_records(found, keys, bounds):
    images, header = int((~bounds).sum()), int((bounds & (keys == 0)).sum())
    identities = int(bounds.sum()) - header
    found.numbers.update(records=len(keys), images=images, identity_records=identities, header_records=header)
    text = f"{len(keys)} = {images} images + {identities} identities + {header} header" if bounds.any() else f"{images}"
    found.facts.append(("records", text))


def _check_index(found, table, needed):
    """Compare the ``.idx`` with where records begin, and return the key of each (int64; -1: not in the index).

    Without a usable index the keys are the ids in the records' own headers.
    """
    idx = os.path.splitext(table.path)[0] + ".idx"
    own = table.ids.astype(np.int64)
    if not os.path.isfile(idx):
        if needed:
            found.problems.append(f"{idx} is missing: the header record can only be found through it; {MENDS}")
        found.facts.append(("index", f"none ({os.path.basename(idx)})"))
        return own
    try:
        index = read_index(idx)
    except InputError as error:
        found.problems.append(str(error))
        return own
    with open(idx, "rb") as f:
        rows = sum(1 for line in f if line.strip())
    found.facts.append(("index", f"{rows} rows in {os.path.basename(idx)}"))
    found.numbers["index_rows"] = rows
    if rows != len(index):
        found.problems.append(f"{idx} names keys more than once: {rows} rows, but {len(index)} different keys")
    return _match(found, table, idx, as_column(index.keys()), as_column(index.values()))


def _match(found, table, idx, keys, offsets):
    """Report the rows of an index that lead to no record, and records no row leads to; return the records' keys."""
    outside = (offsets < 0) | (offsets >= os.path.getsize(table.path))
    at = np.searchsorted(table.offsets, offsets)
    starts = at < len(table.offsets)
    starts[starts] = table.offsets[at[starts]] == offsets[starts]
    # what stands behind damage was not read: it can be called neither right nor wrong
    readable = offsets < (table.offsets[-1] + 1 if len(table.offsets) else 0) if table.damage else True
    astray = ~starts & ~outside & readable
    if outside.any():
        found.problems.append(f"{idx}: {outside.sum()} of {len(keys)} offsets lie outside the {table.path} of "
                              f"{os.path.getsize(table.path)} bytes, the first {offsets[outside][0]} for key "
                              f"{keys[outside][0]}; {MENDS}")
    if astray.any():
        found.problems.append(f"{idx}: {astray.sum()} of {len(keys)} offsets are not where a record begins, the first "
                              f"{offsets[astray][0]} for key {keys[astray][0]}; {MENDS}")
    of_record = np.full(len(table.ids), -1, np.int64)
    of_record[at[starts]] = keys[starts]
    missing = np.flatnonzero(of_record < 0)
    if len(missing):
        found.problems.append(f"{idx} has no row for {len(missing)} of {len(of_record)} records, the first record "
                              f"{missing[0]} at byte {table.offsets[missing[0]]}; {MENDS}")
    return table.ids.astype(np.int64) if not starts.any() else of_record


def _check_labels(found, table, keys, images):
    """Describe the labels of the images and return them (int64; only those that can be class numbers)."""
    several = np.unique(table.flags[images])
    labels = table.labels[images, 0]
    counts = sorted({max(1, int(flag)) for flag in several})
    found.numbers["labels_a_record"] = counts
    if found.kind.startswith("plain") and counts != [1]:
        found.facts.append(("labels a record", ", ".join(map(str, counts)) + " (the first counts as the class)"))
    if len(counts) > 1:
        found.problems.append(f"images carry different numbers of labels: {', '.join(map(str, counts))}")
    if not found.kind.startswith("plain") and max(counts) > 2:
        found.problems.append(f"images carry {max(counts)} labels: a face has one, or identity and aligned")
    whole = np.isfinite(labels) & (np.floor(labels) == labels) & (labels >= 0)
    if not whole.all():
        first = np.flatnonzero(~whole)[0]
        found.problems.append(f"{(~whole).sum()} of {len(labels)} labels are not whole numbers from 0, the first "
                              f"{labels[first]:g} of the image with key {keys[images][first]}")
    labels = labels[whole].astype(np.int64)
    if len(labels):
        used = len(np.unique(labels))
        holes = int(labels.max()) + 1 - used - int(labels.min())
        found.facts.append(("labels", f"{labels.min()} to {labels.max()}, {used} different"
                            + (f"; {holes} between them have no images" if holes else "")))
        found.numbers.update(lowest_label=int(labels.min()), highest_label=int(labels.max()))
        describe_identities(found, labels)
    return labels


def _check_images(found, table, keys, images, decode_all):
    known = images & (table.heights > 0)
    unreadable = np.zeros(len(keys), bool)
    unreadable[[number for number, _ in table.bad]] = True
    describe_images(found, table.heights[images & ~unreadable], table.widths[images & ~unreadable], table.formats)
    total = int(images.sum())
    found.numbers.update(decoded=table.decoded, undecodable=len(table.bad), sized=int(known.sum()))
    found.facts.append(("decoded", f"all {total}" if decode_all else
                        f"{table.decoded} of {total} as a sample (--decode: all)"))
    if table.bad:
        number, reason = table.bad[0]
        found.problems.append(f"{len(table.bad)} of {total} images cannot be decoded, the first with key "
                              f"{keys[number]} (record {number} at byte {table.offsets[number]}): {reason}")


def _check_property(found, table, labels, keys, images):
    """Compare ``property`` and ``identities.txt``, which speak of ``train.rec`` alone, with labels and images."""
    folder = os.path.dirname(table.path)
    path = os.path.join(folder, "property")
    if os.path.basename(table.path) != "train.rec":
        return
    names = _count_names(found, os.path.join(folder, NAMES))
    used = len(np.unique(labels))
    if not os.path.isfile(path):
        if table.bounds.any():
            found.problems.append(f"{path} is missing: expected the line num_classes,height,width, here "
                                  f"{used},{table.heights[images].max()},{table.widths[images].max()}")
        return
    try:
        classes, height, width = read_property(path)
    except InputError as error:
        found.problems.append(str(error))
        return
    found.facts.append(("property", f"{classes} classes, images of {height} x {width} pixels"))
    found.numbers.update(num_classes=classes, image_size=[height, width])
    _compare_classes(found, path, classes, names, labels, used)
    other = images & (table.heights > 0) & ((table.heights != height) | (table.widths != width))
    if other.any():
        first = np.flatnonzero(other)[0]
        found.problems.append(f"{path} says {height} x {width} pixels, but {other.sum()} images are of another size, "
                              f"the first {table.heights[first]} x {table.widths[first]} with key {keys[first]}")


def _compare_classes(found, path, classes, names, labels, used):
    too_large = labels[labels >= classes]
    if len(too_large):
        found.problems.append(f"{path} says {classes} classes, but {len(too_large)} images have a label of {classes} "
                              f"or more, the highest {too_large.max()}")
    elif names is not None and names != classes:
        found.problems.append(f"{path} says {classes} classes, but {NAMES} names {names} identities")
    elif used < classes and names is None:
        found.problems.append(f"{path} says {classes} classes, but the images are of {used} identities")
    elif used < classes:
        found.facts.append(("without images", f"{classes - used} of {classes} identities"))


def _count_names(found, path):
    """Return how many identities ``identities.txt`` names, or None where there is none or it cannot be read."""
    if not os.path.isfile(path):
        return None
    try:
        return len(read_classes(path))
    except InputError as error:
        found.problems.append(str(error))
        return None
