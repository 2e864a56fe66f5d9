"""Generated images: noise, a class that can be told, encoded bytes, files and class folders of them."""
import os

import cv2
import numpy as np


def noise(seed, size=(24, 20), low=0, high=255):
    """Return an image of independent pixels, uint8 ``(*size, 3)`` in [low, high)."""
    return np.random.RandomState(seed).randint(low, high, (*size, 3)).astype(np.uint8)


def smooth(size=(30, 40), seed=0):
    """Return an image of soft patches, uint8 ``(*size, 3)``, that a JPEG hardly alters."""
    patches = noise(seed, (4, 5)) // np.uint8([4, 2, 1])
    return cv2.resize(patches, size[::-1], interpolation=cv2.INTER_CUBIC)


def levelled(number, label, size=(20, 20)):
    """Return noise over a brightness of 60 a class: of classes 0 to 3."""
    return noise(number, size, 0, 60) + np.uint8(60 * label)


def banded(number, label, size=(16, 16), step=4, rows=4):
    """Return noise under a bright band of `rows` rows that begins at ``label * step``, and so tells the class."""
    image = noise(number, size, 0, 60)
    image[label * step:label * step + rows] += 150
    return image


def coloured(rng, label, size=(10, 10)):
    """Return noise from a RandomState, channel ``label % 3`` brighter by 80."""
    image = rng.randint(0, 160, (*size, 3))
    image[:, :, int(label) % 3] += 80
    return image.astype(np.uint8)


def encoded(image, suffix=".png", *options):
    """Return the bytes of an image file: a grey image or BGR ``(H, W, 3)``, as OpenCV takes it."""
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def write_image(path, image):
    """Write an image in the format of the path's suffix, below folders that it makes."""
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:                       # cv2.imwrite takes no name but ASCII everywhere
        f.write(encoded(image, os.path.splitext(path)[1]))


def write_classes(folder, names, count, image, suffix=".png"):
    """Write ``image(number, label)`` for `count` numbers of each class name, as ``folder/name/number.png``."""
    for label, name in enumerate(names):
        for number in range(count):
            write_image(os.path.join(folder, name, f"{number}{suffix}"), image(number, label))
