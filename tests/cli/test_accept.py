"""``mxft accept``: what was changed on purpose is recorded, and says what it was."""
import dataclasses
import pathlib

from mxft.cli import main


def test_an_edited_manifest_is_refused_until_it_is_accepted(here, capsys, make_checkpoint):
    dataclasses.replace(make_checkpoint(3), manifest={"classes": ["a", "b", "c"]}).save("net", 0)
    manifest = pathlib.Path("net-manifest.json")
    manifest.write_text(manifest.read_text().replace('"c"', '"cat"'))
    assert main(["layers", "net,0"]) == 2
    assert capsys.readouterr().err == (
        "mxft layers: manifest is damaged or was edited: expected the content that its checksum was made of, received "
        "another one in net-manifest.json; restore it from a copy; if the change is meant, mxft accept net,0 records "
        "the files as they are\n")
    assert main(["accept", "net,0"]) == 0
    assert capsys.readouterr().out == (
        "manifest: accepted as it is\nsymbol: unchanged\nparameters of 0: unchanged\n")
    assert main(["layers", "net,0"]) == 0


def test_files_without_a_manifest_need_nothing(here, capsys, make_checkpoint):
    make_checkpoint(3).save("net", 0)
    assert main(["accept", "net,0"]) == 2
    assert "mxft accept: nothing to accept: expected a manifest, received model='net,0'" in capsys.readouterr().err
