"""recipes/lfw_finetune.py on a handful of LFW's people: every step of it, with the published MobileFaceNet."""
import itertools
import re
import shutil
import tarfile

import pytest

from mxft.command import run_command

pytestmark = pytest.mark.data


@pytest.fixture
def few_people(testdata, tmp_path):
    """A folder with four people of five images and the pairs among them."""
    names, members = [], []
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        images = sorted((m for m in tar if m.name.endswith(".jpg")), key=lambda m: m.name)
        for name, group in itertools.groupby(images, key=lambda m: m.name.split("/")[-2]):
            group = list(group)
            if len(group) >= 5 and len(names) < 4:
                names.append(name)
                members += group[:5]
        for member in members:
            place = tmp_path / "lfw" / "/".join(member.name.split("/")[-2:])
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(place, "wb") as f:
                shutil.copyfileobj(tar.extractfile(member), f)
    same = [f"{name}\t1\t2" for name in names] + [f"{name}\t3\t4" for name in names[:2]]
    different = [f"{a}\t1\t{b}\t1" for a, b in itertools.combinations(names, 2)]
    pairs = [row for both in zip(same, different) for row in both]
    (tmp_path / "pairs.txt").write_text("\n".join(pairs) + "\n")
    return tmp_path


@pytest.mark.parametrize("flags", [
    pytest.param([], marks=pytest.mark.long),
    pytest.param(["--pixels", "14", "--fc7-init", "imprint"], marks=pytest.mark.long),
    pytest.param(["--pixels", "14", "--loss-type", "triplet", "--per-batch-size", "6"], marks=pytest.mark.long)])
def test_the_published_network_is_finetuned_and_measured_before_and_after(flags, few_people, testdata, load_recipe,
                                                                          capsys):
    status = run_command("lfw_finetune", load_recipe("lfw_finetune").main, [
        "--lfw", str(few_people / "lfw"), "--pairs", str(few_people / "pairs.txt"), "--work", str(few_people / "work"),
        "--pretrained", f"{testdata}/models/mobilefacenet-y1/model,0", "--run", str(few_people / "run"),
        "--end-epoch", "1", "--per-batch-size", "8", *flags])
    said = capsys.readouterr().out
    assert status == 0
    assert "packed 16 images of 4 identities" in said and "held out 4 images of 4 identities" in said
    before = re.search(r"held-out images at their own identity's centre: ([\d.]+) before, ([\d.]+) after", said)
    assert before and (flags or float(before.group(1)) == 1)
    assert ("imprinted from 16 images" in said) == ("imprint" in flags)
    assert ("of the triplets with one" in said) == ("triplet" in flags)
    assert re.search(r"lfw: [\d.]+ at step 0, [\d.]+ at step 2 ", said)
