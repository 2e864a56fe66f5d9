"""From a folder of photographs and a table of their labels to record files with label vectors."""
import hashlib
import os

from mxft.data.classes import write_classes
from mxft.data.datasets import facts_path, image_facts, load_records, records_stand
from mxft.data.folders import require_root
from mxft.data.lists import write_list
from mxft.data.packing import pack_list
from mxft.data.splits import SplitResult
from mxft.data.stratification import split_targets
from mxft.data.tables import read_table, require_images
from mxft.files.whole import require_file, sha256, write_json
from mxft.network.image_options import ImageOptions

VAL_FRACTION = 0.2


def prepare_labelled_records(folder, labels, prefix, kind, names=None, columns=None, val_fraction=VAL_FRACTION, seed=0,
                             num_thread=1, show=None, strict=False, **image_options):
    """Split and pack the images of a table, or take up what an earlier call with the same arguments made.

    Parameters
    ----------
    folder : str
        Where the table's paths begin; only read.
    labels : str
        A table of labels: see `mxft.data.tables.read_table`.
    prefix : str
        Of ``PREFIX-train`` and ``PREFIX-val`` (``.lst .rec .idx``), ``PREFIX-classes.txt``, the outputs' names, and
        ``PREFIX-records.json``.
    kind : {"multi-label", "regression"}
    names, columns
        See `mxft.data.tables.read_table`.
    val_fraction, seed
        See `mxft.data.stratification.split_targets`.
    num_thread, show, strict
        See `mxft.data.packing.pack_list`.
    **image_options
        `resize`, `quality` …: see `mxft.network.image_options.ImageOptions`.

    Returns
    -------
    records : mxft.data.datasets.Records
    split : SplitResult or None
        None where files of an earlier call were taken up: the same table, options and image files.

    Raises
    ------
    InputError
        What `read_table`, `split_targets` and `pack_list` refuse, or a folder without the table's images.

    Examples
    --------
    >>> records, _ = prepare_labelled_records("photos", "tags.csv", "tags", "multi-label")       # doctest: +SKIP
    >>> records.classes                                                                      # doctest: +SKIP
    ['beach', 'dog', 'person']
    """
    packing = image_facts(ImageOptions(**image_options))
    table = read_table(require_file(labels, "table of labels"), kind, names, columns)
    require_root(folder)
    require_images(table, folder)
    wanted = {"folder": os.path.abspath(folder), "target": kind, "labels": sha256(labels), "seed": seed,
              "names": table.target.output_names, "columns": columns and list(columns), "strict": strict,
              "val_fraction": val_fraction, "packing": packing, "source": _fingerprint(table.rows, folder)}
    if records_stand(prefix, wanted):
        return load_records(prefix), None
    parts = split_targets(table.rows, kind, val_fraction, seed)
    classes_path, packed = f"{prefix}-classes.txt", []
    write_classes(classes_path, table.target.output_names)
    for name, rows in zip(("train", "val"), parts):
        write_list(f"{prefix}-{name}.lst", rows)
        packed.append(pack_list(f"{prefix}-{name}.lst", folder, pack_label=True, num_thread=num_thread, show=show,
                                strict=strict, **image_options))
    hashes = {name: sha256(f"{prefix}-{name}.rec") for name in ("train", "val")}
    write_json(facts_path(prefix), {**wanted, "sha256": hashes})
    return load_records(prefix), SplitResult(*packed, classes_path, table.target.output_names, [], [], [])


def _fingerprint(rows, folder):
    """Return a hash of path, size and time of change of every image of the table that is there."""
    digest = hashlib.sha256()
    for row in rows:
        try:
            status = os.stat(os.path.join(folder, row.path))
        except OSError:
            continue
        digest.update(f"{row.path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
