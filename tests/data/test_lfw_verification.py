"""The published MobileFaceNet on real LFW pairs: the step that insightface's eval/verification.py does."""
import tarfile

import numpy as np
import pytest

from mxft.faces.evaluation.embedding import embed_images, embedding_executor
from mxft.faces.evaluation.pair_scoring import verify_pairs
from mxft.faces.evaluation.verification import verify_embeddings
from mxft.faces.pairs.bin_file import load_pairs, pack_pairs
from mxft.network.checkpoint import load_checkpoint
from tests.reference.verification import slow_auc, slow_distance, slow_tar, slow_verification

pytestmark = pytest.mark.data

STEP = 50  # every 50th of the 6,000 pairs: 120, six of each kind in each fold


@pytest.fixture(scope="module")
def lfw120(testdata, tmp_path_factory):
    """lfw.bin of 120 pairs, packed from the tar and the list."""
    folder = tmp_path_factory.mktemp("lfw")
    lines = (testdata / "data" / "lfw-pairs.txt").read_text(encoding="utf-8").splitlines()[1::STEP]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = [line.split("\t") for line in lines]
    wanted = {f"{row[0]}_{int(row[1]):04d}.jpg" for row in words}
    wanted |= {f"{row[-2] if len(row) == 4 else row[0]}_{int(row[-1]):04d}.jpg" for row in words}
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        for member in tar:
            name = member.name.rsplit("/", 1)[-1]
            if name in wanted:
                path = folder / "faces" / name.rsplit("_", 1)[0] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())
    packed = pack_pairs(str(folder / "pairs.txt"), str(folder / "faces"), str(folder / "lfw.bin"), show=False)
    assert (packed.same, packed.different, packed.image_size) == (60, 60, (112, 112))
    return load_pairs(packed.path)


@pytest.fixture(scope="module")
def executor(testdata):
    return embedding_executor(load_checkpoint(f"{testdata / 'models' / 'mobilefacenet-y1' / 'model'},0"), 20)


def test_the_number_and_the_norm(executor, lfw120):
    """A plain script got 0.983333 +- 0.033333 and XNorm 9.618714 here.

    It used mx.image.imdecode, Module without the fused backend, and scikit-learn's normalize and KFold, as upstream.
    """
    result = verify_pairs(executor, lfw120)
    assert str(result) == "0.98333+-0.03333" and result.xnorm == pytest.approx(9.618714, abs=2e-4)
    assert result.distances.mean() == pytest.approx(1.348869, abs=1e-4)
    np.testing.assert_allclose(result.thresholds, [1.32] + [1.47] * 9, atol=0.0101)
    assert result.auc > 0.99 and result.tar[1e-1] > 0.95 and result.tar[1e-2] is None and result.notes == ()


def test_real_embeddings_against_the_loops(executor, lfw120):
    vectors = embed_images(executor, lfw120.images[:120])
    left, right, issame = vectors[0::2], vectors[1::2], lfw120.issame[:60]
    result = verify_embeddings(left, right, issame, 6)
    accuracies, thresholds = slow_verification(left, right, issame, 6)
    np.testing.assert_allclose(result.fold_accuracies, accuracies)
    np.testing.assert_allclose(result.thresholds, thresholds)
    distances = [slow_distance(a, b) for a, b in zip(left, right)]
    np.testing.assert_allclose(result.distances, distances, atol=1e-6)
    assert result.auc == pytest.approx(slow_auc(distances, issame))
    assert result.tar[0.1] == pytest.approx(slow_tar(distances, issame, 0.1))
