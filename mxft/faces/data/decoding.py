"""Records of faces to batches of planes, some images at a time on each of several threads."""
import collections
import concurrent.futures
import shlex

import numpy as np

from mxft.compat import load_cv2
from mxft.data.images import BadImage, inspect
from mxft.errors import RunError
from mxft.faces.data.records import Damage, RecordFile

cv2 = load_cv2()

TASK = 16                        # images a thread takes at a time
AHEAD = 2                        # batches decoded while the caller works on another

Job = collections.namedtuple("Job", ["chosen", "decisions", "planes", "tasks"])


class BatchDecoder:
    """Decode batches of a face set ahead of their use.

    Parameters
    ----------
    face_set : FaceSet
    batch_size : int
    image_size : (int, int)
        Height and width in pixels.
    threads : int

    Notes
    -----
    OpenCV and the disk let go of the interpreter lock, so threads do and no image is copied between processes. The
    memory of ``AHEAD + 1`` batches is used again and again.
    """

    def __init__(self, face_set, batch_size, image_size, threads):
        self.face_set, self.image_size = face_set, image_size
        self._shape = (batch_size, 3, *image_size)
        self._records = RecordFile(face_set.rec)
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "faces")
        self._waiting, self._free = collections.deque(), []

    @property
    def wants_more(self):
        """Whether fewer batches than are worth while have been asked for."""
        return len(self._waiting) <= AHEAD

    def ask(self, chosen, decisions):
        """Begin to decode the images `chosen` (int array (N,), positions in the set) with what `decisions` says."""
        planes = self._free.pop() if self._free else np.empty(self._shape, np.float32)
        rows = range(len(chosen))
        tasks = [self._pool.submit(_decode_some, self._records, self.face_set, chosen, decisions, planes,
                                   rows[start:start + TASK]) for start in rows[::TASK]]
        self._waiting.append(Job(chosen, decisions, planes, tasks))

    def take(self, use):
        """Wait for the batch asked for first and return ``use(planes, chosen)``; `planes` is overwritten afterwards.

        Raises
        ------
        RunError
            An image of it is damaged: the first, whichever thread met one.
        """
        job = self._waiting[0]
        for task in job.tasks:
            task.result()
        taken = use(job.planes, job.chosen)
        self._free.append(self._waiting.popleft().planes)
        return taken

    def forget(self):
        """Drop the batches asked for; those being decoded are waited for, since their memory is used again."""
        tasks = [task for job in self._waiting for task in job.tasks]
        for task in tasks:
            task.cancel()
        concurrent.futures.wait(tasks)
        self._free += [job.planes for job in self._waiting]
        self._waiting.clear()

    def close(self):
        """Drop everything and end the threads."""
        self.forget()
        self._pool.shutdown()
        self._records.close()


def _decode_some(records, face_set, chosen, decisions, planes, rows):
    """Decode the images `chosen[rows]` into `planes[rows]`, float32 (N, 3, H, W)."""
    bytes_of = np.empty((len(rows), *planes.shape[1:]), np.uint8) if decisions.jitter is None else None
    for i, row in enumerate(rows):
        try:
            bgr = decisions.change(row, decode_face(records, face_set, chosen[row], planes.shape[2:]))
        except (Damage, BadImage) as damage:
            at = chosen[row]
            raise RunError(f"reading {face_set.rec} stopped at the image with key {face_set.keys[at]} at byte "
                           f"{face_set.offsets[at]}: {damage}; mxft inspect {shlex.quote(face_set.rec)} shows more"
                           ) from None
        if bytes_of is None:
            cv2.split(decisions.jittered(row, bgr), [planes[row, 0], planes[row, 1], planes[row, 2]])
        else:
            cv2.split(bgr, [bytes_of[i, 2], bytes_of[i, 1], bytes_of[i, 0]])
    if bytes_of is not None:
        planes[rows.start:rows.stop] = bytes_of
    for row in rows:
        decisions.fill(row, planes[row])


def decode_face(records, face_set, at, image_size):
    """Return image `at` of the set as uint8 BGR (H, W, 3), checked against what the set says of it."""
    label, image = records.image(int(face_set.offsets[at]), int(face_set.sizes[at]))
    if label != face_set.labels[at]:
        raise Damage(f"expected label={face_set.labels[at]} as before training, received label={label:g}; was the file "
                     "changed?")
    if len(image) > 1 and image[0] == 0xFF and not (image[-2] == 0xFF and image[-1] == 0xD9):
        inspect(image.tobytes())  # OpenCV fills up a JPEG that is cut short with grey; some only have bytes behind them
    try:
        bgr = cv2.imdecode(image, cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise Damage(f"expected an image, received {len(image)} bytes that cannot be decoded")
    if bgr.shape[:2] != tuple(image_size):
        raise Damage("expected {}x{} (height x width), received {}x{}".format(*image_size, *bgr.shape[:2]))
    return bgr
