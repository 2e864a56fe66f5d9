"""Who is let in, and what counts as one address."""
import pytest

from mxft.deploy.serving.admission import MOST_WAITING, Admission, household
from mxft.deploy.serving.jobs import Refused


def test_who_is_let_in():
    admission = Admission(most=2, per_address=1)
    with admission.admitted("a", 10):
        with pytest.raises(Refused, match="There are 1 requests of this address under way already") as refused:
            admission.admitted("a", 10).__enter__()
        assert (refused.value.status, refused.value.reason, refused.value.retry_after) == (429, "address", 2)
        with admission.admitted("b", 10):
            assert admission.full
            with pytest.raises(Refused, match="its queue is full; try again") as refused:
                admission.admitted("c", 10).__enter__()
            assert (refused.value.status, refused.value.reason) == (503, "queue")
    assert not admission.full and not admission._of
    with admission.admitted("a", 2 * MOST_WAITING), pytest.raises(Refused, match="its queue is full"):
        admission.admitted("b", 1).__enter__()


@pytest.mark.parametrize("one, other, same", [
    ("192.0.2.1", "192.0.2.2", False), ("192.0.2.1", "::ffff:192.0.2.1", True), ("", "", True), ("x", "y", False),
    ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True), ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ("fe80::1%eth0", "fe80::2", True)])
def test_a_network_of_64_bits_counts_as_one_address(one, other, same):
    assert (household(one) == household(other)) is same
