"""Which records of a set are images: the header and the identity records; see insightface's face2rec2.py.

Key 0 is a header record that names the identity records, each identity record names its images; neither has a payload.
A ``.rec`` without a header record, as im2rec writes it, is images throughout.
"""
import numpy as np

EXACT = 1 << 24                  # keys stand in float32 labels, which round what is above


def find_images(source, keys, table):
    """Find the image records of a set.

    Parameters
    ----------
    source : SetFiles
    keys : int64 array, shape (N,)
        Of all records, ascending.
    table : Openings
        How those records begin.

    Returns
    -------
    kind : {"insightface", "im2rec"}
    images : int array, shape (M,)
        Positions of the image records.
    notes : list of str

    Raises
    ------
    InputError
        The header or an identity record announces what is not there, two identity records name the same image, or
        one names images of two labels; an image record without an image.
    """
    if not (keys[0] == 0 and table.flags[0] == 2 and table.payloads[0] == 0):
        _require_payloads(source, keys, table, np.arange(len(keys)))
        return "im2rec", np.arange(len(keys)), []
    if keys[-1] >= EXACT:
        return "insightface", np.flatnonzero(table.payloads > 0), [
            f"keys reach {keys[-1]}, which the float32 labels of identity records hold only roughly: their ranges were "
            "not checked"]
    records = _positions(source, keys, "the header record", *table.labels[0], "identity records")
    return "insightface", *_images_of_identities(source, keys, table, np.arange(*records))


def _positions(source, keys, record, begin, end, what):
    """Return the positions in `keys` of the first and one behind the last record that `record` announces."""
    if not (begin >= 1 and end >= begin and begin % 1 == 0 and end % 1 == 0):
        raise source.refuse(f"{record} announces {what} by their keys: expected two whole numbers first < end of 1 or "
                            f"more, received [{begin:g}, {end:g}]")
    positions = np.searchsorted(keys, (begin, end))
    if positions[1] - positions[0] != end - begin:
        raise source.refuse(f"{record} announces {end - begin:.0f} {what} with keys {begin:.0f} to {end - 1:.0f}: "
                            f"expected all of them, received {positions[1] - positions[0]} in "
                            f"{source.idx or source.rec}")
    return positions


def _images_of_identities(source, keys, table, records):
    """Return the positions of the images that the identity records at positions `records` name, and notes."""
    wrong = records[(table.flags[records] != 2) | (table.payloads[records] > 0)]
    if len(wrong):
        raise source.refuse(f"the header record announces an identity record at key {keys[wrong[0]]}: expected 2 "
                            f"labels and no image, received {table.flags[wrong[0]]} labels and "
                            f"{table.payloads[wrong[0]]} bytes")
    begins, ends, sorted_records = _ranges(source, keys, table, records)
    covered = np.zeros(len(keys) + 1, np.int64)
    np.add.at(covered, begins, 1)
    np.add.at(covered, ends, -1)
    images = np.flatnonzero(np.cumsum(covered[:-1]))
    if not len(images):
        raise source.refuse(f"expected images, received {len(records)} identity records that name none")
    _require_payloads(source, keys, table, images)
    _require_one_label(source, keys, table, begins, ends, sorted_records)
    surplus = np.count_nonzero(table.payloads > 0) - len(images)
    return images, [f"{surplus} images belong to no identity record and are left out, as upstream does"] * bool(surplus)


def _ranges(source, keys, table, records):
    """Return first and end positions of each identity's images and its record's, sorted; none overlap."""
    first, end = table.labels[records].T
    positions = np.searchsorted(keys, (first, end))
    bad = ~((first >= 1) & (end >= first) & (first % 1 == 0) & (positions[1] - positions[0] == end - first))
    if bad.any():
        i = bad.argmax()
        _positions(source, keys, f"the identity record with key {keys[records[i]]}", first[i], end[i], "images")
    order = np.argsort(positions[0], kind="stable")
    order = order[end[order] > first[order]]
    begins, ends = positions[:, order]
    overlap = np.flatnonzero(begins[1:] < ends[:-1])
    if len(overlap):
        one, two = order[overlap[0]], order[overlap[0] + 1]
        raise source.refuse(f"identity records overlap: expected each image in one, received keys {first[one]:.0f} to "
                            f"{end[one] - 1:.0f} in record {keys[records[one]]} and {first[two]:.0f} to "
                            f"{end[two] - 1:.0f} in record {keys[records[two]]}")
    return begins, ends, records[order]


def _require_payloads(source, keys, table, images):
    empty = images[table.payloads[images] == 0]
    if len(empty):
        raise source.refuse(f"{len(empty)} image records have no image, the first key={keys[empty[0]]}: expected "
                            "encoded images, received 0 bytes")


def _require_one_label(source, keys, table, begins, ends, records):
    for begin, stop, record in zip(begins, ends, records):
        labels = table.labels[begin:stop, 0]
        if labels.max() > labels.min():
            raise source.refuse(f"the identity record with key {keys[record]} names images of two identities: expected "
                                f"one label, received label={labels.min():g} and label={labels.max():g}")
