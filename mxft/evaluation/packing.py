"""What a photograph goes through on its way to a network: resizing and encoding, as its training records had them."""
from mxft.network.anatomy.outputs import EMBEDDING, FACE_SIZES
from mxft.options import QUALITY


def default_resize(spec):
    """Return the short side to pack at: 256 for an input of 224, and in that proportion.

    Parameters
    ----------
    spec : mxft.network.input_spec.InputSpec

    Returns
    -------
    int
        Pixels.
    """
    return round(max(spec.shape[1:]) * 256 / 224)


def folder_packing(checkpoint, spec):
    """Return what pictures of a folder go through for a checkpoint: its manifest's packing, a face whole, or a crop.

    insightface's aligned faces are the network's input themselves: cutting their middle out would be another face, and
    encoding them again would lose a little of it.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec

    Returns
    -------
    dict
        Of `mxft.network.image_options.ImageOptions`.
    """
    if checkpoint.manifest.get("packing"):
        return dict(checkpoint.manifest["packing"])
    if list(spec.shape[1:]) in FACE_SIZES and checkpoint.anatomy.outputs[0].kind == EMBEDDING:
        return {"resize": spec.resize or max(spec.shape[1:]), "encoding": ".png"}
    return {"resize": spec.resize or default_resize(spec), "quality": QUALITY}
