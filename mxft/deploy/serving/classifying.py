"""The work of a process that names pictures: read, computed together where several wait, and worded for JSON."""
import dataclasses
import time

import numpy as np

from mxft.data.images import BadImage
from mxft.deploy.bundle.signature import counted, signature_of
from mxft.deploy.serving.child import outcome_of
from mxft.deploy.serving.jobs import Refused
from mxft.deploy.serving.pictures import check_picture, unreadable
from mxft.deploy.serving.tensors import parsed_request, response
from mxft.features.store import backbone_facts

TOP = 5


@dataclasses.dataclass
class _Prepared:
    """The network's input of one job, float32 ``(n, C, H, W)``, and what words its answers."""

    pixels: np.ndarray
    worded: object


class ClassifierWorker:
    """Answers ``classify``, whose part is a picture, and ``infer``, whose part is a request of the open protocol.

    Parameters
    ----------
    classifier : mxft.evaluation.classifier.Classifier
    rewrite : bool
    batch_size : int
        Pictures computed together.

    Attributes
    ----------
    facts : dict
        For the front: the signature, how many classes in words, and hashes that tell this network from another.
    """

    def __init__(self, classifier, rewrite=True, batch_size=1):
        self._classifier, self._bound = classifier, classifier.bind(rewrite, batch_size)
        signature = signature_of(classifier)
        network = classifier.checkpoint
        self.facts = {"signature": signature, "counted": counted(signature),
                      "hashes": backbone_facts(network.symbol, network.arg_params, network.aux_params)}
        self._verbs = {"classify": self._picture, "infer": self._tensors}

    def answer_all(self, jobs, began):
        """Return the outcomes of jobs: each a dict, or the Refused that it is.

        Parameters
        ----------
        jobs : list of (str, list of bytes)
        began : callable of int
            Called with a job's number before it is read.
        """
        outcomes = []
        for number, (verb, parts) in enumerate(jobs):
            began(number)
            outcomes.append(outcome_of(self._verbs[verb], *parts))
        prepared = [outcome for outcome in outcomes if isinstance(outcome, _Prepared)]
        if prepared:
            scores = outcome_of(lambda: self._bound.scores_of(np.concatenate([one.pixels for one in prepared])))
            self._word(outcomes, scores)
        return outcomes

    def _word(self, outcomes, scores):
        """Put the answers in the places of what was prepared, in order."""
        row = 0
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, _Prepared):
                rows, row = range(row, row + len(outcome.pixels)), row + len(outcome.pixels)
                outcomes[number] = scores if isinstance(scores, Refused) else outcome_of(
                    lambda outcome=outcome, rows=rows: outcome.worded(
                        [self._bound.answers_from(scores, each) for each in rows]))

    def _picture(self, data):
        began = time.perf_counter()
        pixels, size = self._read(data)

        def worded(answers):
            return {**self._named(*answers[0]), "milliseconds": round((time.perf_counter() - began) * 1e3, 1),
                    "image": {"width": int(size[0]), "height": int(size[1])}}
        return _Prepared(pixels, worded)

    def _read(self, data):
        check_picture(data)
        try:
            return self._bound.read(data)
        except BadImage as error:
            raise unreadable(error) from None

    def _tensors(self, body):
        asked = parsed_request(body, self.facts["signature"], lambda data: self._read(data)[0])
        return _Prepared(asked.pixels, lambda answers: response(
            asked, self.facts["signature"], [[each.shown for each in found] for found, _ in answers]))

    def _named(self, answers, novelty):
        """Return the likeliest classes of a picture, its values, or its labels, for JSON; of several outputs all."""
        classifier = self._classifier
        rows = [_rows(answer, classifier.names(answer.output)) for answer in answers]
        labels = {}
        if classifier.thresholds:
            rows[0] = _label_rows(answers[0], classifier.classes, classifier.thresholds)
            labels = {"labels": [row["name"] for row in rows[0] if row["said"]]}
        outputs = [{"output": answer.output.name, "kind": answer.output.kind, "classes": own}
                   for answer, own in zip(answers, rows)]
        unlike = {}
        if novelty:
            unlike = {"novelty": {**novelty.to_dict(), "said": novelty.describe() if novelty.far else ""}}
        return {"classes": rows[0], **labels, **({"outputs": outputs} if len(outputs) > 1 else {}), **unlike}


def _rows(answer, names):
    measure = "probability" if answer.output.has_probabilities else "value"
    return [{"name": names[i], measure: round(value, 6)} for i, value in answer.top(TOP)]


def _label_rows(answer, names, thresholds):
    """Return all labels that reach their thresholds and the likeliest others, each with whether it is said."""
    said = {number for number, _ in answer.said(thresholds)}
    return [{"name": names[i], "probability": round(value, 6), "threshold": round(thresholds[i], 6), "said": i in said}
            for rank, (i, value) in enumerate(answer.top(len(names))) if i in said or rank < TOP]
