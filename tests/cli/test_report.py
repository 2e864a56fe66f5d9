"""``mxft report``: a run's page made again, runs compared, and its refusals."""
import os
import shutil

import cv2
import numpy as np
import pytest

from mxft.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two runs, ``head`` and ``full``, on val.rec."""
    from mxft.compat import mx
    from mxft.data.recordio import IRHeader, RecordWriter, pack

    folder = tmp_path_factory.mktemp("runs")
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    net = mx.sym.Flatten(mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg"), name="flatten0")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=5, name="fc1"), name="softmax")
    from mxft.network.checkpoint import Checkpoint
    shapes = dict(zip(net.list_arguments(), net.infer_shape(data=(1, 3, 16, 16))[0]))
    Checkpoint(net, {name: mx.nd.random.normal(0, 0.1, shape) for name, shape in shapes.items()
                     if name not in ("data", "softmax_label")}, {}).save(str(folder / "net"), 0)
    with RecordWriter(str(folder / "val.rec")) as writer:
        for number in range(8):
            image = np.random.RandomState(number).randint(0, 255, (16, 16, 3)).astype(np.uint8)
            encoded = cv2.imencode(".png", image)[1].tobytes()
            writer.write(pack(IRHeader(0, float(number % 2), number, 0), encoded))
    for plan in ("head", "full"):
        assert main(["finetune", "--model", str(folder / "net,0"), "--train", str(folder / "val.rec"), "--val",
                     str(folder / "val.rec"), "--run", str(folder / plan), "--epochs", "1", "--batch-size", "4",
                     "--image-shape", "3,16,16", "--plan", plan]) == 0
    return folder


@pytest.mark.long
def test_a_run_is_judged_again_to_the_same_page(runs, capsys):
    with open(runs / "head" / "report.html", encoding="utf-8") as f:
        written = f.read()
    assert main(["report", str(runs / "head"), "--output", str(runs / "again.html")]) == 0
    assert capsys.readouterr().out == f"report: {runs}/again.html\n"
    with open(runs / "again.html", encoding="utf-8") as f:
        assert f.read() == written
    assert "evaluated on 8 images" in written and "Confusion matrix" in written


def test_several_are_compared(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    assert main(["report", "head", "full"]) == 0
    assert capsys.readouterr().out == f"report: {runs}/compare.html\n"
    with open("compare.html", encoding="utf-8") as f:
        page = f.read()
    assert 'href="head/report.html"' in page and 'href="full/report.html"' in page


@pytest.mark.parametrize("words, message", [
    (["head", "full", "--records", "val.rec"], "--records: expected with one run, received with several; report each"),
    (["head", "full", "--target", "lfw"], "--data-dir, --target, --bin: expected with one run, received with several"),
    (["head", "--data-dir", "."], "--data-dir, --target, --bin: expected with a face run, received the classification "
                                  "run head; --records names validation records"),
    (["net"], "log of a run is missing: expected a file, received 'net/log.jsonl'"),
    (["head", "--records", "vol.rec"], "nearest: val.rec"),
])
def test_refusals(runs, words, message, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    assert main(["report", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("file, content, message", [
    ("freeze.json", b"[]", "freeze.json with list"), ("transfer.json", b"{", "expected JSON, received"),
    ("transfer.json", b'{"parameters": [1.5]}', "where one is damaged (TypeError: 'float' object is not"),
    ("transfer.json", b'{"parameters": [1.5]}', ", in mxft/report/page.py:"),
    ("freeze.json", b"[" * 100_000, "expected JSON, received"), ("log.jsonl", b'"text"\n[1]\n{}\n', "with 0 lines"),
    ("log.jsonl", b"\xff\xfe", "expected lines of JSON, received"),
])
def test_damaged_files_of_a_run_are_refused(runs, file, content, message, capsys, tmp_path):
    run = str(tmp_path / "damaged")
    shutil.copytree(runs / "full", run)
    with open(os.path.join(run, file), "wb") as f:
        f.write(content)
    os.unlink(os.path.join(run, "report.html"))
    for words in ([run], [run, run]) if file == "log.jsonl" else ([run],):
        assert main(["report", *words]) == 2
        assert message in capsys.readouterr().err
    assert not os.path.exists(os.path.join(run, "report.html"))


def test_a_defect_in_judging_does_not_pass_for_a_damaged_run(runs, monkeypatch):
    def fail(*_):
        raise TypeError("a defect")

    monkeypatch.setattr("mxft.cli.report._score", fail)
    with pytest.raises(TypeError, match="^a defect$"):
        main(["report", str(runs / "full"), "--output", str(runs / "defect.html")])
    assert not os.path.exists(runs / "defect.html")


def test_records_that_are_gone_or_changed_are_said(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    os.rename("val.rec", "kept.rec")
    try:
        assert main(["report", "head", "--records", "val.rec"]) == 2
        assert "expected a file, received 'val.rec'" in capsys.readouterr().err
        assert main(["report", "head"]) == 0
        out, err = capsys.readouterr()
        gone = f"the validation records are gone, expected {runs}/val.rec; --records names others"
        assert err == f"not evaluated: {gone}\n" and out == f"report: {runs}/head/report-not-evaluated.html\n"
        with open("head/report-not-evaluated.html", encoding="utf-8") as f:
            page = f.read()
        assert f"<p>Not evaluated: {gone}.</p>" in page and "confusion matrix" not in page
        with open("val.rec", "wb") as f:
            f.write(b"other")
        assert main(["report", "head", "--output", "page.html"]) == 0
        out, err = capsys.readouterr()
        assert err.startswith("not evaluated: the validation records have changed, expected sha256 ")
        assert out == f"report: {runs}/page.html\n"
        with open("head/report.html", encoding="utf-8") as f:
            assert "confusion matrix" in f.read()  # the judged page stands
    finally:
        os.replace("kept.rec", "val.rec")


def test_a_page_that_cannot_be_written_takes_no_run_with_it(runs, capsys, monkeypatch):
    from mxft.report import page

    def fail(*_):
        raise ValueError("no picture")

    monkeypatch.setattr(page, "curves_svg", fail)
    monkeypatch.chdir(runs)
    assert main(["finetune", "--model", "net,0", "--train", "val.rec", "--run", "trained here", "--epochs", "1",
                 "--plan", "full", "--batch-size", "4", "--image-shape", "3,16,16"]) == 3
    out, err = capsys.readouterr()
    assert "saved: trained here/model,best" in out and os.path.exists("trained here/model-best.params")
    assert err.endswith("report: not written (ValueError: no picture); what was trained is on disk, and mxft report "
                        f"'{runs}/trained here' writes the page\n")
