"""The zoo's two questions: give me this model, give me this data set; verified, from the cache where they are there."""
from mxft.files.download import FetchError
from mxft.zoo.cache import cache_folder, say
from mxft.zoo.names import find, find_dataset, find_model
from mxft.zoo.substitutes import earlier_substitute, get_substitute
from mxft.zoo.symbols import SymbolModel


def cached(name, cache=None):
    """Return what `get_model` or `get_dataset` would, if it is in the cache already; None where it is not."""
    return find(name).cached(cache_folder(cache))


def cached_model(name, cache=None):
    """Return ``"prefix,epoch"`` of a zoo model, or the substitute an earlier call took for it, if cached; else None."""
    row, folder = find_model(name), cache_folder(cache)
    return row.cached(folder) or (earlier_substitute(row, folder) if isinstance(row, SymbolModel) else None)


def get_model(name, cache=None, progress=True, fallback=True, files=()):
    """Return ``"prefix,epoch"`` of a zoo model in the cache, fetching it the first time.

    Parameters
    ----------
    name : str
        As the examples call it (``imagenet1k-resnet-50``) or short (``resnet-50``). ``resnet-152`` is the tutorial's
        second network, ``imagenet11k-resnet-152``; the ImageNet-1k one is ``imagenet1k-resnet-152``.
        ``gluon:resnet50_v1b`` is GluonCV's, ``mxnet:resnet50_v1`` MXNet's own; ``mxft zoo list`` shows them all.
    cache : str, optional
        Folder to keep files in, see `cache_folder`.
    progress : bool
        Show what is fetched. That a substitute or an ambiguous name was used is said in any case.
    fallback : bool
        When no mirror of a symbol ResNet answers, take a Gluon ResNet of the same depth, or torchvision's from the
        Hugging Face hub, imported into GluonCV's v1b layout, and say so.
    files : sequence of str
        Local copies to take instead: what the row consists of, or for a Gluon or face model its archive or what is in
        it. They are verified as a download would be, copied, and left where they are.

    Returns
    -------
    str
        For `mxft.network.checkpoint.load_checkpoint`. A manifest with the input convention lies beside the files.

    Raises
    ------
    FetchError
        No mirror answered; every address is listed with its reason, and how to give local files.
    InputError
        The name is unknown, a file in the cache or a local copy is not the one it should be, or the network is one
        that cannot be converted.

    Notes
    -----
    Base addresses or folders in ``$MXFT_MIRRORS`` (separated by commas) are asked first. What is cached is never
    asked for again, so it works without a network. The symbol checkpoints have no published hash: their structure is
    checked, and a third party's md5 is compared and told.

    Examples
    --------
    >>> get_model("resnet-50")   # doctest: +SKIP
    '/home/me/.mxnet/mxft/models/imagenet1k-resnet-50/resnet-50,0'
    """
    row, folder = find_model(name), cache_folder(cache)
    if name.lower() == "resnet-152":
        say("resnet-152 is taken as in the tutorial: imagenet11k-resnet-152, trained on 11,221 classes; the "
            "ImageNet-1k network is imagenet1k-resnet-152")
    if files or not fallback or not isinstance(row, SymbolModel):
        return row.get(folder, progress, files)
    substitute = None if row.cached(folder) else earlier_substitute(row, folder)
    if substitute:
        return substitute
    try:
        return row.get(folder, progress)
    except FetchError as error:
        if not row.substitutes:
            raise
        return get_substitute(row, folder, progress, error)


def get_dataset(name, cache=None, progress=True, files=()):
    """Return the path of a data set's verified file, or of a detector's folder, in the cache, fetched the first time.

    Parameters
    ----------
    name : str
        ``caltech256`` (the archive of photographs), ``caltech-256-60-train.rec``, ``caltech-256-60-val.rec``; or
        ``mtcnn-insightface``, whose files are in a folder.
    cache : str, optional
        Folder to keep files in, see `cache_folder`.
    progress : bool
        Show what is fetched.
    files : sequence of str
        A local copy to take instead, verified alike.

    Returns
    -------
    str
        Path of the file as published: an archive is not unpacked here, see `mxft.files.archive.extract_tar`.

    Raises
    ------
    FetchError, InputError
        As `get_model`.

    Examples
    --------
    >>> get_dataset("caltech256")   # doctest: +SKIP
    '/home/me/.mxnet/mxft/datasets/256_ObjectCategories.tar'
    """
    return find_dataset(name).get(cache_folder(cache), progress, files)
