"""A small training set in insightface's layout, whose pictures tell their key."""
import cv2
import numpy as np

from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.faces.data.layout import read_face_set

SIZE = (12, 10)                                        # not square: height and width cannot be mixed up unnoticed


def picture(number):
    """A uint8 RGB image whose every pixel differs; its first red value is `number`."""
    image = np.random.RandomState(number).randint(0, 256, (*SIZE, 3)).astype(np.uint8)
    image[0, 0, 0] = image[0, -1, 0] = number
    return image


def png(rgb):
    return cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes()


def write_set(folder, count=22, payloads=None):
    """Return the FaceSet of `count` images, two an identity; `payloads` take the place of some, by key."""
    identities = -(-count // 2)
    with RecordWriter(str(folder / "train.rec"), str(folder / "train.idx")) as writer:
        writer.write(pack(IRHeader(2, [count + 1, count + 1 + identities], 0, 0), b""), 0)
        for key in range(1, count + 1):
            payload = (payloads or {}).get(key) or png(picture(key))
            writer.write(pack(IRHeader(2, [(key - 1) // 2, 1], key, 0), payload), key)
        for i in range(identities):
            key = count + 1 + i
            writer.write(pack(IRHeader(2, [2 * i + 1, min(2 * i + 3, count + 1)], key, 0), b""), key)
    (folder / "property").write_text(f"{identities},{SIZE[0]},{SIZE[1]}")
    return read_face_set(folder)


def epoch(iterator):
    """Return (data, labels, pads) of the batches up to the end of the epoch, and begin the next."""
    batches = list(iterator)
    iterator.reset()
    return (np.concatenate([batch.data[0].asnumpy() for batch in batches]),
            np.concatenate([batch.label[0].asnumpy() for batch in batches]), [batch.pad for batch in batches])
