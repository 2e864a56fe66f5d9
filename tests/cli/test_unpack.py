"""``mxft unpack`` as a user runs it."""
import os

from mxft.cli import main


def test_unpacked_records_pack_again_by_the_command_that_is_told(make_records, here, capsys):
    make_records("a.rec", [0, 1, 1])
    assert main(["unpack", "a.rec", "out"]) == 0
    said = capsys.readouterr().out
    assert said == ("unpacked 3 images in 2 folders into out, listed in out/a.lst; mxft im2rec --pass-through out/a "
                    "out packs them again\n")
    assert main(["im2rec", "--pass-through", "out/a", "out"]) == 0
    assert (here / "out" / "a.rec").read_bytes() == (here / "a.rec").read_bytes()


def test_a_folder_that_is_used_is_refused_with_one_line(make_records, here, capsys):
    make_records("a.rec", [0])
    assert main(["unpack", "a.rec", "."]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "expected a folder that is new or empty" in err
    assert os.listdir() == ["a.rec"]


def test_names_from_a_file(make_records, here):
    make_records("a.rec", [0, 1])
    (here / "names.txt").write_text("cat\ndog\n")
    assert main(["unpack", "a.rec", "out", "--names", "names.txt"]) == 0
    assert sorted(os.listdir("out")) == ["a.lst", "cat", "dog"]
