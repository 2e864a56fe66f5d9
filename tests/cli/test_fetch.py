"""``mxft fetch`` as a user types it."""
import json
import struct
import subprocess
import sys

import pytest

from mxft.cli import main
from mxft.zoo import datasets, gluon, symbols


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MXFT_MIRRORS", folder.as_uri())
    monkeypatch.setattr(symbols, "MIRRORS", ("http://127.0.0.1:9/",))
    (folder / "imagenet11k-resnet-152-symbol.json").write_text(json.dumps({"nodes": []}))
    (folder / "imagenet11k-resnet-152-0000.params").write_bytes(struct.pack("<QQ", 0x112, 0))
    return folder


def test_the_last_line_is_what_other_verbs_take(mirror, tmp_path, capsys):
    assert main(["fetch", "imagenet11k-resnet-152", "--cache", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/c/models/imagenet11k-resnet-152/resnet-152,0\n"


def test_a_data_set_gives_its_path(mirror, tmp_path, capsys):
    (mirror / "caltech-256-60-val.rec").write_bytes(struct.pack("<I", 0xCED7230A) * 8)
    assert main(["fetch", "caltech-256-60-val.rec", "--cache", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/c/datasets/caltech-256-60-val.rec\n"


def test_list_shows_every_name(capsys):
    assert main(["fetch", "--list"]) == 0
    text = capsys.readouterr().out
    for row in (*symbols.MODELS, *gluon.MODELS, *datasets.DATASETS):
        assert any(line.startswith(row.name) for line in text.splitlines()), row.name
    assert "imagenet1k-resnet-50, resnet-50" in text and "raw RGB 0-255" in text and "0.7527" in text


@pytest.mark.parametrize("arguments, message", [
    (["caltech265"],
     "unknown name: expected a name of the zoo, received 'caltech265'; nearest: caltech256"),
    ([], "nothing to fetch: expected a name, received none; mxft fetch --list shows them"),
])
def test_a_refused_name_ends_with_2_and_one_message(arguments, message, capsys):
    assert main(["fetch", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"mxft fetch: {message}")


def test_no_mirror_ends_with_2_and_lists_every_address(mirror, tmp_path, capsys):
    assert main(["fetch", "resnet-18", "--no-fallback", "--cache", str(tmp_path / "c")]) == 2
    err = capsys.readouterr().err
    assert "http://127.0.0.1:9/models/imagenet/resnet/18-layers/resnet-18-symbol.json: connection refused" in err
    assert "MODEL=prefix,epoch" in err and "Traceback" not in err


def test_the_list_needs_no_mxnet():
    code = ("import sys; from mxft.cli import main; main(['fetch', '--list']); "
            "sys.exit('mxnet' in sys.modules or 'requests' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
