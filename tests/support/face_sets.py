"""Small face sets whose people are colours, and an embedder that sees them."""
import numpy as np

from mxft.faces.data.set_writer import FaceSetWriter
from mxft.faces.pairs.bin_file import decode_rgb
from tests.support.images import encoded

SIZE = (32, 32)
COLOURS = 12  # people that can be told


def person_image(person, number, suffix=".png", *options):
    """Return an encoded image of a person: soft noise (of `number`) around the person's colour."""
    rng = np.random.default_rng([person, number])
    grid = rng.integers(-25, 26, (4, 4)).repeat(8, 0).repeat(8, 1)[:, :, None]
    return encoded(np.clip(colour(person)[::-1] + grid, 0, 255).astype(np.uint8), suffix, *options)


def colour(person):
    """Return the colour of a person, RGB; those of COLOURS people are apart."""
    angle = 2 * np.pi * person / COLOURS
    return 128 + 90 * np.cos(angle + np.array([0, 2, 4]) * np.pi / 3)


class ColourEmbedder:
    """Embeds an image by the hue of its mean colour, COLOURS numbers; see `mxft.faces.sets.embedding.SetEmbedder`."""

    def embed(self, images, name):
        rows, bad = np.full((len(images), COLOURS), np.nan, np.float32), {}
        for at in range(len(images)):
            try:
                mean = decode_rgb(images[at]).mean(axis=(0, 1)) - 128
            except ValueError as reason:
                bad[at] = str(reason)
                continue
            angles = np.array([0, 2, 4]) * np.pi / 3
            hue = np.arctan2(-np.sin(angles) @ mean, np.cos(angles) @ mean)
            rows[at] = np.exp(30 * (np.cos(hue - 2 * np.pi * np.arange(COLOURS) / COLOURS) - 1))
        return rows, bad


def write_set(folder, people, names=None, size=SIZE):
    """Write a face set of ``{name: [image, …]}``; return its path as str. `names` False leaves identities.txt out."""
    with FaceSetWriter(folder) as writer:
        for label, (name, images) in enumerate(people.items()):
            writer.add_identity(label, [(f"{name}/{i}.png", image) for i, image in enumerate(images)])
        writer.finish(list(people), size)
    if names is False:
        (folder / "identities.txt").unlink()
    return str(folder)
