"""Divide an identity's images into those for training and those held out, by a seed."""
import hashlib
import os


def choose(images, hold_out, seed=0):
    """Divide the images of one identity into those for training and those held out, both in the order given.

    Parameters
    ----------
    images : list of (str, object)
        Path first. The choice follows the SHA-256 of seed and path, so it does not depend on other identities.
    hold_out : int or float
        A number of images, or a part below 1, rounded to the nearest; one image always stays.
    seed : int

    Returns
    -------
    train, held : list

    Examples
    --------
    >>> [len(part) for part in choose([(f"{i}.jpg", b"") for i in range(9)], 0.2)]
    [7, 2]
    """
    wanted = int(len(images) * hold_out + 0.5) if hold_out < 1 else int(hold_out)
    ranked = sorted(images, key=lambda image: _rank(image[0], seed))
    chosen = {path for path, _ in ranked[:min(wanted, len(images) - 1)]}
    return [i for i in images if i[0] not in chosen], [i for i in images if i[0] in chosen]


def _rank(path, seed):
    return hashlib.sha256(f"{seed}/{path.replace(os.sep, '/')}".encode("utf-8", "surrogateescape")).digest()
