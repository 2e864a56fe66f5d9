"""Whether header and identity records say where the images are; the reading side is insightface's FaceImageIter.

It asks key 0 for the keys of the identity records, each of those for the keys of its images, and believes both.
"""
import numpy as np

from mxft.faces.data.set_writer import MOST_KEYS


def check_bounds(found, table, keys):
    """Add to `found.problems` what header and identity records say that is not so.

    Parameters
    ----------
    found : Inspection
    table : RecordTable
    keys : int64 array, shape (N,)
        Of its records.
    """
    bounds = table.bounds
    header = np.flatnonzero(bounds & (keys == 0))
    if not len(header):
        found.problems.append(f"no header record: {bounds.sum()} records name others as identities do, but none has "
                              "key 0")
    if keys.max() >= MOST_KEYS:
        found.facts.append(("keys", f"up to {keys.max()}: the header and identity records hold them as float32, exact "
                            f"only below {MOST_KEYS}"))
    identities = np.flatnonzero(bounds & (keys != 0))
    identities = identities[np.argsort(keys[identities], kind="stable")]
    if len(header):
        _check_header(found, table.labels[header[0]], keys[identities])
    ranges = table.labels[identities]
    whole = np.isfinite(ranges).all(1) & (np.floor(ranges) == ranges).all(1) & (ranges[:, 0] < ranges[:, 1])
    if not whole.all():
        i = np.flatnonzero(~whole)[0]
        found.problems.append(f"{(~whole).sum()} of {len(ranges)} identity records hold no range of keys, the first, "
                              f"with key {keys[identities[i]]}, says {_range(ranges[i])}")
    _check_images(found, table, keys, identities[whole], ranges[whole].astype(np.int64))


def _check_header(found, said, identity_keys):
    """Compare the header's range with the keys of the identity records (sorted)."""
    first, past = said
    if not (np.isfinite(said).all() and 1 <= first <= past):
        found.problems.append(f"the header record holds no range of identity records: it says {_range(said)}")
        return
    inside = ((identity_keys >= first) & (identity_keys < past)).sum()
    if past - first != inside:
        found.problems.append(f"the header record says that {past - first:g} identity records stand at keys "
                              f"{_range(said)}, but {inside} do")
    if inside != len(identity_keys):
        found.problems.append(f"{len(identity_keys) - inside} identity records stand outside the keys {_range(said)} "
                              "that the header record gives: no reader finds their images")


def _check_images(found, table, keys, identities, ranges):
    """Compare the ranges (int64, shape (I, 2)) of identity records with the images at those keys."""
    images = np.flatnonzero(~table.bounds & (keys >= 0))
    if not len(images) or not len(ranges):
        return
    images = images[np.argsort(keys[images], kind="stable")]
    image_keys, labels = keys[images], table.labels[images, 0]
    first, past = np.searchsorted(image_keys, ranges[:, 0]), np.searchsorted(image_keys, ranges[:, 1])
    short = past - first != ranges[:, 1] - ranges[:, 0]
    if short.any():
        i = np.flatnonzero(short)[0]
        found.problems.append(f"{short.sum()} of {len(ranges)} identity records name keys that are no images, the "
                              f"first, with key {keys[identities[i]]}, says {_range(ranges[i])} where "
                              f"{past[i] - first[i]} images are")
    _check_cover(found, image_keys, first, past)
    _check_one_label(found, keys, identities, labels, first, past)


def _check_cover(found, image_keys, first, past):
    """Report images that no identity record names, or more than one; each range is images [first, past)."""
    steps = np.zeros(len(image_keys) + 1, np.int64)
    np.add.at(steps, first, 1)
    np.add.at(steps, past, -1)
    times = np.cumsum(steps)[:-1]
    if (times == 0).any():
        found.problems.append(f"{(times == 0).sum()} images belong to no identity record, the first with key "
                              f"{image_keys[times == 0][0]}: gaps between the ranges")
    if (times > 1).any():
        found.problems.append(f"{(times > 1).sum()} images belong to more than one identity record, the first with key "
                              f"{image_keys[times > 1][0]}: the ranges overlap")


def _check_one_label(found, keys, identities, labels, first, past):
    """Report identities with images of several labels, and labels that several identities have."""
    some = past > first
    lowest = np.array([labels[a:b].min() for a, b in zip(first[some], past[some])])
    highest = np.array([labels[a:b].max() for a, b in zip(first[some], past[some])])
    mixed = np.flatnonzero(lowest != highest)
    if len(mixed):
        i = mixed[0]
        found.problems.append(f"{len(mixed)} identity records name images of different labels, the first, with key "
                              f"{keys[identities[some][i]]}, from label {lowest[i]:g} to {highest[i]:g}")
    values, counts = np.unique(lowest[lowest == highest], return_counts=True)
    if (counts > 1).any():
        found.problems.append(f"{(counts > 1).sum()} labels stand in more than one identity record, the first label "
                              f"{values[counts > 1][0]:g}: images of one identity belong together")


def _range(bounds):
    return f"[{bounds[0]:g}, {bounds[1]:g})" if max(abs(bounds[0]), abs(bounds[1])) < 1e6 or not np.isfinite(
        bounds).all() else f"[{bounds[0]:.0f}, {bounds[1]:.0f})"
