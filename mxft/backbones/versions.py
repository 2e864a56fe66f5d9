"""The ``--version-*`` flags of insightface's ``train_softmax.py``, with its defaults; nothing here needs mxnet."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Versions:
    """The ``--version-*`` flags of ``train_softmax.py``, and ``--bn-mom``.

    Parameters
    ----------
    se : {0, 1}
        1 puts a squeeze-and-excitation gate into every unit of a face ResNet.
    input : {0, 1, 2}
        First layers. 1: 3x3 at full size. 0: strided (7x7 in a face ResNet). 2, face ResNet only: a BatchNorm
        in place of ``(x − 127.5)/128``.
    output : str
        Output head, one of ``embedding_output.OUTPUTS``.
    unit : {1, 2, 3}
        Residual unit of a face ResNet.
    multiplier : float
        Width of MobileNet.
    act : str
        One of ``embedding_output.ACTIVATIONS``.
    bn_mom : float
        Momentum of the BatchNorms' running statistics; MobileNet's body and GNAP keep 0.9, as upstream.
    """

    se: int = 0
    input: int = 1
    output: str = "E"
    unit: int = 3
    multiplier: float = 1.0
    act: str = "prelu"
    bn_mom: float = 0.9
