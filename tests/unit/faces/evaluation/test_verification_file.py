"""verification.json: what is written is read back to the last digit, and a damaged file is refused."""
import json

import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.verification import verify_embeddings
from mxft.faces.evaluation.verification_file import read_verifications, verifications_record
from mxft.files.whole import write_json


def test_the_way_through_the_file_changes_no_number(tmp_path):
    rng = np.random.RandomState(0)
    left, issame = rng.normal(size=(40, 8)), np.arange(40) % 2 == 0
    right = np.where(issame[:, None], left, 0) + rng.normal(size=(40, 8))
    result = verify_embeddings(left, right, issame, folds=5, xnorm=2.5)
    write_json(tmp_path / "v.json", verifications_record({3: {"lfw": result}}))
    again = read_verifications(tmp_path / "v.json")[3]["lfw"]
    assert again.to_dict() == result.to_dict()
    assert (again.distances == result.distances).all() and (again.issame == issame).all()


@pytest.mark.parametrize("text", [
    "{", "[]", '{"steps": [{"step": 0}]}',
    json.dumps({"steps": [{"step": 0, "targets": {"a": {"folds": 1, "xnorm": 1, "distances": [1.0], "issame": []}}}]}),
    json.dumps({"steps": [{"step": 0, "targets": {"a": {"folds": 9, "xnorm": 1, "distances": [1.0], "issame": [1]}}}]}),
])
def test_a_damaged_file_is_refused(text, tmp_path):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(InputError, match="v.json is damaged: expected steps with targets|pairs < folds"):
        read_verifications(tmp_path / "v.json")
