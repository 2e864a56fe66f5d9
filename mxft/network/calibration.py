"""A checkpoint's calibration: the temperature its logits are divided by, so that its probabilities can be trusted.

Temperature scaling (Guo et al., arXiv:1706.04599). The temperature is fitted when an epoch is validated and stands in
the manifest beside that epoch's metrics; the graph has no part of it until `with_temperature` writes it there.
"""
import dataclasses
import math

from mxft.errors import InputError
from mxft.network.anatomy.outputs import end_of
from mxft.network.graph import Graph

CALIBRATION = "calibration"  # its name among the metrics of a score
METRIC = f"val_{CALIBRATION}"  # and among an epoch's
_WRITTEN = "calibrated_logits"  # the layer that divides


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The temperature of one epoch, and what it does to the probabilities of the images it was fitted on.

    Parameters
    ----------
    temperature : float
        Above 0; above 1 it makes probabilities less certain.
    images : int
        Validation images.
    loss, ece : float
        Cross-entropy in nats and expected calibration error of the network's own probabilities.
    calibrated_loss, calibrated_ece : float
        Of the calibrated ones, each half of the images judged at the temperature fitted on the other half.
    in_graph : bool
        Whether the graph divides by the temperature itself, so that nothing is left to be done.

    Examples
    --------
    >>> Calibration(1.5, 240, 0.8, 0.1, 0.7, 0.04).describe()
    'calibrated: logits are divided by 1.5, fitted on 240 validation images'
    """

    temperature: float
    images: int
    loss: float
    ece: float
    calibrated_loss: float
    calibrated_ece: float
    in_graph: bool = False

    @classmethod
    def of(cls, metrics):
        """Return the Calibration among an epoch's metrics, None where there is none."""
        entry = metrics.get(METRIC)
        return cls(**entry) if is_calibration(entry) else None

    @property
    def left(self):
        """What the graph's own logits are still to be divided by: 1 where the graph does it."""
        return 1.0 if self.in_graph else self.temperature

    def not_fitted(self):
        """Return the Calibration of the same images at temperature 1: of logits that were scaled without them."""
        return dataclasses.replace(self, temperature=1.0, calibrated_loss=self.loss, calibrated_ece=self.ece)

    def describe(self):
        """Return in words what is done to the logits."""
        return (f"calibrated: logits are divided by {self.temperature:.4g}, fitted on {self.images:,} validation "
                f"image{'s' * (self.images != 1)}")

    def to_dict(self):
        """Return it for the manifest, `in_graph` only where it is so."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "in_graph" or value}


def is_calibration(entry):
    """Whether a manifest's entry is a calibration as mxft writes it: it may have been altered since."""
    fields = {field.name for field in dataclasses.fields(Calibration)}
    if not isinstance(entry, dict) or not fields - {"in_graph"} <= set(entry) <= fields:
        return False
    numbers = [value for name, value in entry.items() if name != "in_graph"]
    return (isinstance(entry.get("in_graph", False), bool)
            and all(type(value) in (int, float) and math.isfinite(value) and value >= 0 for value in numbers)
            and 1e-3 <= entry["temperature"] <= 1e3 and type(entry["images"]) is int)


def with_temperature(checkpoint):
    """Write a checkpoint's temperature into its graph, for programs that know no manifest.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        With a calibration.

    Returns
    -------
    Checkpoint
        Its softmax reads the logits divided by the temperature: it gives by itself what the checkpoint gives when it
        is served. The same one where there is nothing to divide.

    Raises
    ------
    InputError
        It has no calibration.
    """
    calibration = checkpoint.calibration
    if calibration is None:
        raise InputError(f"calibration: expected a checkpoint with a temperature in its manifest, received "
                         f"{checkpoint.name} without; mxft finetune fits one where it validates")
    output = checkpoint.anatomy.output()
    if output.link.calibration == 1:
        return checkpoint
    graph = Graph(checkpoint.symbol)
    softmax = end_of(graph, graph.heads[output.position])
    graph.insert_on_edge(softmax, 0, "_div_scalar", _free_name(graph), {"scalar": repr(calibration.temperature)})
    epoch = checkpoint.name.rpartition(",")[2]
    written = {**checkpoint.metrics, METRIC: dataclasses.replace(calibration, in_graph=True).to_dict()}
    manifest = {**checkpoint.manifest, "metrics": {**checkpoint.manifest["metrics"], epoch: written}}
    return dataclasses.replace(checkpoint, symbol=graph.to_symbol(), manifest=manifest)


def _free_name(graph):
    name, taken = _WRITTEN, {node.name for node in graph.nodes}
    while name in taken:
        name += "_"
    return name
