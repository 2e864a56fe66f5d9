"""Records divided among workers: each record one worker's, every worker as many batches, whatever the sizes."""
import numpy as np
import pytest

from mxft.data.iterators import RecordIterator
from mxft.data.labels import scan_labels
from mxft.data.sharing import share_records
from mxft.errors import InputError
from mxft.network.input_spec import InputSpec

SPEC = InputSpec((3, 8, 8))


def uneven(number, label):
    """Noise of 8x8 to 60x60: records of many lengths."""
    rng = np.random.RandomState(number)
    return rng.randint(0, 255, (rng.randint(8, 60), 10, 3)).astype(np.uint8)


def first_ones_large(number, label):
    return np.random.RandomState(number).randint(0, 255, (200 if number < 5 else 8, 40, 3)).astype(np.uint8)


@pytest.mark.parametrize("records, workers, batch, picture", [
    (10, 3, 2, uneven), (23, 2, 4, uneven), (37, 4, 3, uneven), (7, 2, 8, uneven), (60, 3, 7, uneven),
    (24, 2, 2, first_ones_large)])
def test_every_record_is_seen_once_an_epoch_in_equally_many_batches(records, workers, batch, picture, make_records):
    path = make_records("data.rec", range(records), picture)
    offsets, seen, counts = scan_labels(path).offsets, [], set()
    for rank in range(workers):
        share = share_records(path, offsets, rank, workers)
        iterator = RecordIterator(path, SPEC, batch, records, 1, shuffle=True, seed=rank, threads=1, share=share)
        for _ in range(2):
            iterator.reset()
            batches = [(part.label[0].asnumpy().astype(int), part.pad) for part in iterator]
        assert all(((label >= 0) & (label < records)).all() for label, _ in batches)
        own = np.concatenate([label[:batch - pad] for label, pad in batches])
        assert len(own) == share.num_records == iterator.num_records and iterator.batches == len(batches)
        seen += own.tolist()
        counts.add(len(batches))
    assert sorted(seen) == list(range(records))
    assert len(counts) == 1


def test_a_batch_beyond_the_share_repeats_its_first(make_records):
    path = make_records("data.rec", range(24), first_ones_large)
    offsets = scan_labels(path).offsets
    small = min((share_records(path, offsets, rank, 2) for rank in range(2)), key=lambda share: share.num_records)
    iterator = RecordIterator(path, SPEC, 4, 24, threads=1, share=small)
    batches = [(part.label[0].asnumpy(), part.pad) for part in iterator]
    own = -(-small.num_records // 4)
    assert len(batches) == -(-small.most_records // 4) > own
    assert all(pad == 4 and np.array_equal(label, batches[0][0]) for label, pad in batches[own:])


def test_an_epoch_made_again_is_of_the_same_share(make_records):
    path = make_records("data.rec", range(20), uneven)
    share = share_records(path, scan_labels(path).offsets, 1, 2)
    iterator = RecordIterator(path, SPEC, 4, 20, augment=1, threads=1, share=share)
    assert iterator.facts()["num_parts"] == 2 and iterator.facts()["part_index"] == 1
    again = iterator.epoch(1)
    assert {int(x) for part in again for x in part.label[0].asnumpy()} == \
        {int(x) for part in iterator for x in part.label[0].asnumpy()}


def test_a_worker_without_records_is_refused(make_records):
    path = make_records("data.rec", range(3))
    with pytest.raises(InputError, match="at least one for each of 9 workers, received 3 records in .*start fewer"):
        share_records(path, scan_labels(path).offsets, 0, 9)
