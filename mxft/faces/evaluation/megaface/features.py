"""Features of MegaFace's and FaceScrub's aligned images: one file an image, as ``gen_megaface.py`` of insightface."""
import dataclasses
import os

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.data.progress import progress
from mxft.errors import RunError
from mxft.faces.evaluation.identification import unit_rows
from mxft.faces.evaluation.megaface.feature_file import feature_path, write_feature
from mxft.faces.evaluation.streaming import stream_views
from mxft.faces.pairs.bin_file import decode_rgb
from mxft.files.whole import whole_file
from mxft.inference.finite import naming_pictures
from mxft.machine.quiet import quiet_native


@dataclasses.dataclass(frozen=True)
class WrittenFeatures:
    """Result of `write_features`.

    Parameters
    ----------
    folder : str
    written : int
    unreadable : int
        Images without a feature.
    bad_list : str or None
        The list of them.
    """

    folder: str
    written: int
    unreadable: int
    bad_list: str


def write_features(executor, images, root, folder, algorithm, image_size=(112, 112), threads=None, show=None):
    """Write the feature of every image of a list.

    Parameters
    ----------
    executor : mxft.inference.executor.InferenceExecutor
        Ends in the embedding: see `mxft.faces.evaluation.embedding.embedding_executor`.
    images : dict of str to str
        Of `mxft.faces.evaluation.megaface.lists.read_images`.
    root : str
        The folder of the images.
    folder : str
        Of the features, ``OUT/facescrub`` or ``OUT/megaface``.
    algorithm : str
        Files are named ``IMAGE_ALGORITHM.bin``.
    image_size : (H, W)
        What the network takes, and every image must be.
    threads : int, optional
        For decoding; one a core when None.
    show : bool, optional
        See `mxft.data.progress.progress`.

    Returns
    -------
    WrittenFeatures

    Raises
    ------
    RunError
        An embedding is not finite, or zero.

    Notes
    -----
    The embeddings of an image and of its mirror image are added and normalised. An image that cannot be read, or has
    another size, has no feature and stands with the reason in ``FOLDER.bad.tsv``; upstream prints and forgets it.
    """
    paths, bad = list(images.items()), {}

    def load(image):
        try:
            pixels = decode_rgb(read_image(os.path.join(root, image[1])))
            if pixels.shape[:2] != tuple(image_size):
                raise BadImage(f"{pixels.shape[1]}x{pixels.shape[0]} pixels instead of "
                               f"{image_size[1]}x{image_size[0]}")
            return pixels
        except BadImage as error:
            bad[image[0]] = str(error)  # from several threads: one key each
            return None

    with quiet_native(), naming_pictures(lambda place: paths[place][1]), \
            progress(len(paths), f"writing {os.path.basename(folder)}", show=show) as advance:
        for places, views in stream_views(executor, paths, load, True, threads, advance):
            summed = views.sum(axis=0)
            good = summed.any(axis=1)
            if not good.all():
                raise RunError(f"feature is no direction: expected an embedding, received zeros for "
                               f"{paths[places[int((~good).argmax())]][1]}; a run that diverged, or damaged "
                               "parameters?")
            for place, feature in zip(places, unit_rows(summed)):
                write_feature(feature_path(folder, paths[place][0], algorithm), feature)
    return WrittenFeatures(folder, len(paths) - len(bad), len(bad), _list_bad(folder, images, bad))


def _list_bad(folder, images, bad):
    """Write the images without a feature in the order of the list; return the file, None where there are none."""
    path = f"{folder}.bad.tsv"
    if not bad:
        if os.path.exists(path):
            os.remove(path)  # of an earlier run, which had some
        return None
    with whole_file(path) as f:
        f.write("".join(f"{path}\t{bad[name]}\n" for name, path in images.items() if name in bad).encode())
    return path
