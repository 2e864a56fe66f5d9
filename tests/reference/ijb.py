"""IJB's protocols in plain loops, one face, one pair, one probe at a time, in float64; written from the papers.

Templates: Whitelam et al. 2017 and upstream's ``image2template_feature``. 1:N: upstream's ``evaluation_1N``.
"""
import math


def slow_template(embeddings, media):
    """The feature of one template: a list of floats."""
    total = [0.0] * len(embeddings[0])
    for medium in sorted(set(media)):
        rows = [embedding for embedding, theirs in zip(embeddings, media) if theirs == medium]
        for k in range(len(total)):
            total[k] += sum(float(row[k]) for row in rows) / len(rows)
    length = math.sqrt(sum(value * value for value in total))
    return [value / length for value in total] if length else total


def slow_image(views, score, flip, detector_score, unit_length):
    """What one image brings in, of its embedding and that of its mirror image."""
    values = [float(a) + (float(b) if flip else 0.0) for a, b in zip(*views)]
    if unit_length:
        length = math.sqrt(sum(value * value for value in values))
        values = [value / length for value in values]
    return [value * (float(score) if detector_score else 1.0) for value in values]


def slow_cosine(left, right):
    return sum(a * b for a, b in zip(left, right))


def slow_tar(scores, issame, rate):
    """TAR where as many different pairs as `rate` allows are accepted: every threshold is tried."""
    same = [score for score, truth in zip(scores, issame) if truth]
    different = [score for score, truth in zip(scores, issame) if not truth]
    if not same or math.floor(rate * len(different) + 1e-9) < 1:
        return None
    best = 0.0
    for threshold in [*scores, -math.inf]:
        if sum(score > threshold for score in different) <= rate * len(different) + 1e-9:
            best = max(best, sum(score > threshold for score in same) / len(same))
    return best


def slow_identification(probes, probe_subjects, gallery, gallery_subjects, rate):
    """(top-1, top-5, TPIR): one probe after the other."""
    ranks, own, strangers = [], [], []
    for probe, subject in zip(probes, probe_subjects):
        similar = [slow_cosine(probe, template) for template in gallery]
        if subject in gallery_subjects:
            mine = max(s for s, theirs in zip(similar, gallery_subjects) if theirs == subject)
            ranks.append(1 + sum(s >= mine for s, theirs in zip(similar, gallery_subjects) if theirs != subject))
            own.append(mine)
        else:
            strangers.append(max(similar))
    strangers.sort(reverse=True)
    threshold = strangers[int(len(strangers) * rate + 1e-9) - 1]
    found = [rank == 1 and score > threshold for rank, score in zip(ranks, own)]
    return (sum(rank <= 1 for rank in ranks) / len(ranks), sum(rank <= 5 for rank in ranks) / len(ranks),
            sum(found) / len(found))
