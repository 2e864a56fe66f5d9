"""Faces read a second: mxft's FaceIterator against a loop over ``mx.image`` and against ``ImageRecordIter``, in turn.

    python tests/bench/bench_faces_iterator.py [--folder FOLDER] [--batch-size 128] [--runs 5] [--threads N]

Without a folder it takes the aligned LFW faces of ../shared or $MXFT_TESTDATA, 13,233 of 112x112. All three read the
same plain ``.rec``, shuffled and mirrored. The loop is what upstream's FaceImageIter does to an image: read_idx,
mx.image.imdecode, flip, transpose into the batch.
"""
import argparse
import glob
import os
import random
import tempfile

from turns import rates, show, take_turns, unpack


def pack_faces(folder, rec):
    """Pack the JPEG files below `folder` as they are, a class a folder, without a header record."""
    from mxft.data.recordio import IRHeader, RecordWriter, pack

    files = sorted(glob.glob(os.path.join(folder, "**", "*.jpg"), recursive=True))
    classes = {name: number for number, name in enumerate(sorted({os.path.dirname(path) for path in files}))}
    with RecordWriter(rec, rec[:-4] + ".idx") as writer:
        for key, path in enumerate(files):
            with open(path, "rb") as f:
                writer.write(pack(IRHeader(0, float(classes[os.path.dirname(path)]), key, 0), f.read()), key)
    return len(files)


def per_image_loop(rec, batch_size, images):
    """Read batches as upstream's FaceImageIter does, of the first `images` of a shuffled order; return their number."""
    from mxft.compat import mx

    records = mx.recordio.MXIndexedRecordIO(rec[:-4] + ".idx", rec, "r")
    keys = list(records.keys)
    random.shuffle(keys)
    batches = min(images, len(keys)) // batch_size
    for batch in range(batches):
        data, label = mx.nd.empty((batch_size, 3, 112, 112)), mx.nd.empty((batch_size,))
        for i, key in enumerate(keys[batch * batch_size:(batch + 1) * batch_size]):
            header, encoded = mx.recordio.unpack(records.read_idx(key))
            image = mx.image.imdecode(encoded)
            if random.randint(0, 1):
                image = mx.nd.flip(image, axis=1)
            data[i][:] = mx.nd.transpose(image, axes=(2, 0, 1))
            label[i][:] = header.label
        data.wait_to_read()
    return batches * batch_size


def epoch(iterator):
    """Read all batches of an epoch and return the number of images."""
    count = 0
    for batch in iterator:
        batch.data[0].wait_to_read()
        count += batch.data[0].shape[0]
    iterator.reset()
    return count


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--folder", help="of people, each a folder of 112x112 JPEG files")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    args = p.parse_args()
    from mxft.compat import mx
    from mxft.faces.data.iterators import FaceIterator
    from mxft.faces.data.layout import read_face_set

    with tempfile.TemporaryDirectory() as scratch:
        rec = os.path.join(scratch, "faces.rec")
        count = pack_faces(args.folder or unpack("lfw-112x112.tar", scratch), rec)
        ours = FaceIterator(read_face_set(rec), args.batch_size, mirror=True, threads=args.threads)
        theirs = mx.io.ImageRecordIter(path_imgrec=rec, data_shape=(3, 112, 112), batch_size=args.batch_size,
                                       shuffle=True, rand_mirror=True, preprocess_threads=args.threads, verbose=False)
        contenders = {"mx.image loop": lambda: per_image_loop(rec, args.batch_size, count // 3),
                      "ImageRecordIter": lambda: epoch(theirs), "FaceIterator": lambda: epoch(ours)}
        seconds, images = take_turns(contenders, args.runs)
        ours.close()
    speeds = {name: rates(images[name], {name: taken})[name] for name, taken in seconds.items()}
    show(f"reading {count} faces, mirrored, batches of {args.batch_size}, {args.threads} threads", "images/s", speeds,
         "FaceIterator")


if __name__ == "__main__":
    main()
