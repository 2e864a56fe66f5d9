"""The page of a face run: what it shows of a whole, a bare, a failed and an unfinished run, and that it is one file."""
import json
import re

import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.verification import verify_embeddings
from mxft.faces.evaluation.verification_file import verifications_record
from mxft.faces.report.face_curves import thinned
from mxft.faces.report.face_page import write_face_page
from mxft.faces.report.run_files import FaceRunFiles
from mxft.report.run_files import RunFiles
from mxft.workflows.reporting import open_run, write_comparison


def verification(seed, pairs=400, noise=0.6):
    rng = np.random.RandomState(seed)
    left, issame = rng.standard_normal((pairs, 8)), np.arange(pairs) % 2 == 0
    right = np.where(issame[:, None], left + noise * rng.standard_normal(left.shape), rng.standard_normal(left.shape))
    return verify_embeddings(left, right, issame, xnorm=9.5)


@pytest.fixture
def make_run(tmp_path):
    """A function ``(prefix, verified=True, ended=True, extra=(), **options) -> prefix`` that writes a face run's files,
    its checkpoints left out."""
    def make(prefix, verified=True, ended=True, extra=(), **options):
        prefix = tmp_path / prefix
        prefix.parent.mkdir(parents=True, exist_ok=True)
        results = {0: {"l<b>$f": verification(0, noise=0.9)}, 4: {"l<b>$f": verification(0)},
                   6: {"l<b>$f": verification(1, noise=1.2)}}
        rows = [{"event": "start", "model": "net,0", "network": "y1", "head": "arcface (loss type 4): m <2>",
                 "options": {"lr": 0.05, "wd": 0.0005, "per_batch_size": 16, "seed": 0, **options},
                 "devices": ["cpu(0)"],
                 "data": {"path": "/faces/train.rec", "images": 48, "identities": 4, "batch_size": 16,
                          "steps_an_epoch": 3},
                 "phases": [{"until": 1, "trainable": 1, "frozen": 9}, {"until": 2, "trainable": 10, "frozen": 0}],
                 "lr_steps": [100000], "memory": 2_000_000_000}]
        for step in range(7):
            if step:
                rows.append({"event": "interval", "step": step, "epoch": 1 + (step - 1) // 3, "seconds": 0.5,
                             "images_per_second": 32.0, "lr": 0.05, "loss": 9 / step, "margin_correct": 0.1,
                             "correct": step / 10, "target_cosine": 0.5})
            if verified and step in results:
                rows.append({"event": "verification", "step": step, "seconds": 3.0, "targets": {
                    name: {key: result.to_dict()[key] for key in ("accuracy", "std", "xnorm", "tar_at_far")}
                    for name, result in results[step].items()}})
        rows += [*extra, *([{"event": "end", "steps": 6, "interrupted": False, "peak_memory": 10**9}] if ended else [])]
        files = {"log.jsonl": "\n".join(map(json.dumps, rows)) + "\n{half a li",
                 "manifest.json": json.dumps({"metrics": {
                     "last": {"step": 6}, "best": {"step": 4, "accuracy": 0.9 if verified else None}}}),
                 "transfer.json": json.dumps({"counts": {"loaded": 9, "new": 1}, "parameters": [
                     {"name": "fc7_weight", "status": "new", "checkpoint_shape": None, "symbol_shape": [4, 8]}]}),
                 "best.params": "x" * 1500}
        if verified:
            files["verification.json"] = json.dumps(verifications_record(results))
        for name, text in files.items():
            (prefix.parent / f"{prefix.name}-{name}").write_text(text)
        return str(prefix)
    return make


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def test_a_page_holds_everything_itself(make_run, tmp_path):
    prefix = make_run("run/model")
    path = write_face_page(prefix)
    page = read(path)
    assert path == f"{prefix}-report.html"
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    assert "l<b>$f" not in page and "l&lt;b&gt;$f" in page and "m <2>" not in page
    assert page.count("<svg role") == 1 + 4 + 2  # verification; loss, accuracy, cosine, rate; ROC and distances
    best = verification(0)
    assert f"<b>{best.accuracy:.5f}</b>" in page
    assert f'<td class="n">{best.accuracy:.5f} ± {best.std:.5f}</td>' in page
    assert f"step 4 (best), area {best.auc:.5f}" in page and "step 0, area" in page and "step 6, area" in page
    assert f"{best.tar[0.01]:.5f}" in page and "TAR@FAR 0.001 needs 1,000 different pairs, received 200" in page
    for text in ("net,0 fine-tuned on 48 images of 4 people", "9 loaded, 1 new", "a tenth after steps 100,000", "3.0 s",
                 '<td>lr</td><td class="name">0.05</td>', "32.0", "verification, 3 times", "9.0 s", "2.0 GB", "1.0 GB",
                 'model-best.params, of step 4</td><td class="n">1.5 kB', "6 lines of the log"):
        assert text in page, text
    assert "<td>wd</td>" not in page  # the default


def test_a_run_without_sets_has_a_page_too(make_run):
    page = read(write_face_page(make_run("run/model", verified=False)))
    assert "Nothing was verified: there was no set." in page and page.count("<svg role") == 4 and "ROC" not in page


def test_an_older_log_and_lost_distances_do_no_harm(make_run, tmp_path):
    prefix = make_run("run/model")
    (tmp_path / "run" / "model-verification.json").unlink()
    rows = [json.loads(line) for line in read(f"{prefix}-log.jsonl").splitlines()[:-1]]
    kept = [{key: value for key, value in row.items() if key not in ("seconds", "data", "phases", "model", "memory")}
            for row in rows if row["event"] != "end"]
    (tmp_path / "run" / "model-log.jsonl").write_text("\n".join(map(json.dumps, kept)))
    page = read(write_face_page(prefix))
    assert "The distances of the pairs are not kept beside the log" in page and "y1 from the start" in page


@pytest.mark.parametrize("run, text", [
    ({"extra": [{"event": "failed", "reason": "it stopped: NaN"}], "ended": False}, "It failed: it stopped: NaN"),
    ({"ended": False}, "The log has no end: the run is still going, or was killed."),
    ({"extra": [{"event": "end", "interrupted": True, "steps": 6}], "ended": False}, "It was interrupted at step 6."),
    ({"extra": [{"event": "measured", "name": "held out", "before": 0.5, "after": 0.75}]},
     "held out: 0.5000 before, 0.7500 after."),
])
def test_what_became_of_it_is_said(run, text, make_run):
    assert text in read(write_face_page(make_run("run/model", **run)))


def test_sets_judged_again_stand_beside_the_runs_own(make_run):
    page = read(write_face_page(make_run("run/model"), judged={"l<b>$f": verification(5), "cfp": verification(6)}))
    assert page.count("<td>best, evaluated again</td>") == 2 and page.count("<h3>") == 2


def test_face_runs_are_compared(make_run, tmp_path):
    prefixes = [make_run("a/model"), make_run("b/model", lr=0.5), make_run("c/model", verified=False)]
    write_face_page(prefixes[0])
    page = read(write_comparison([str(tmp_path / "a"), *prefixes[1:]], str(tmp_path / "compare.html")))
    assert '<a href="a/model-report.html">a/model</a>' in page and "Best verification in bold." in page
    assert "arcface</td>" in page and page.count("<tr class=\"best\">") == 2
    assert re.findall(r'<td class="name">([a-z_.]+)</td><td>', page) == ["lr"]


def test_of_runs_verified_on_different_sets_none_is_the_best(make_run, tmp_path):
    prefixes = [make_run("a/model"), make_run("b/model", lr=0.5)]
    log = tmp_path / "b" / "model-log.jsonl"
    log.write_text(log.read_text().replace('"network"', '"targets": [{"name": "lfw", "pairs": 20}], "network"', 1))
    page = read(write_comparison(prefixes, str(tmp_path / "compare.html")))
    assert "none is marked as the best." in page and '<tr class="best">' not in page


def test_runs_of_two_kinds_are_not_compared(make_run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "log.jsonl").write_text('{"event": "start", "recipe": {}}\n')
    with pytest.raises(InputError, match="comparison: expected runs of one kind, received the face run .*/a/model and "
                                         "the classification run .*/photos; mxft report each kind by itself"):
        write_comparison([make_run("a/model"), str(tmp_path / "photos")], str(tmp_path / "compare.html"))
    assert not (tmp_path / "compare.html").exists()


def test_a_run_is_found_by_folder_and_by_prefix(make_run, tmp_path):
    prefix = make_run("run/y1")
    assert isinstance(open_run(prefix), FaceRunFiles) and open_run(tmp_path / "run").prefix == prefix
    make_run("run/y2")
    with pytest.raises(InputError, match="expected one run in the folder, received .* with 2 face runs; name one of "
                                         ".*run/y1, .*run/y2"):
        open_run(tmp_path / "run")
    (tmp_path / "log.jsonl").write_text('{"event": "start", "recipe": {}}\n')
    assert isinstance(open_run(tmp_path), RunFiles)
    (tmp_path / "run" / "y3-log.jsonl").write_text('{"event": "start"}\n')
    with pytest.raises(InputError, match="expected the log of a face recipe, .* with 1 line and no options in them"):
        open_run(tmp_path / "run" / "y3")


def test_what_a_run_of_the_same_name_logged_before_is_left_out(make_run, tmp_path):
    prefix = make_run("run/model")
    log = tmp_path / "run" / "model-log.jsonl"
    old = '{"event": "start", "options": {}}\n{"event": "interval", "step": 99, "loss": 1}\n'
    log.write_text(old + log.read_text())
    assert open_run(prefix).steps == 6 and "net,0 fine-tuned" in read(write_face_page(prefix))


def test_a_long_curve_is_thinned_to_means():
    steps, values = thinned([(20 * n, float(n % 2)) for n in range(1, 8001)])
    assert len(steps) == 400 and steps[-1] == 160000 and set(values) == {0.5}
    assert thinned([]) == ([], [])
