"""What the service can be told, and what follows of it."""
import pytest

from mxft.deploy.serving.options import ServingOptions, cores
from mxft.errors import InputError


@pytest.mark.parametrize("settings, message", [
    ({"queue": 0}, "`queue`: expected a whole number from 1 to 1000, received `queue=0`"),
    ({"timeout": 0}, "`timeout`: expected a number above 0"), ({"batch_size": 65}, "`batch_size`: expected a whole"),
    ({"proxy": ("proxy.example",)}, "`proxy`: expected an address or a network such as 10.0.0.0/8, received"),
    ({"metrics_from": ("10.0.0.0/99",)}, "`metrics_from`: expected an address or a network")])
def test_options_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError) as refused:
        ServingOptions(**settings)
    assert message in refused.value.message


def test_what_options_say():
    options = ServingOptions(processes=2, batch_size=4, queue=10, metrics_from=["10.1.0.0/16"], proxy=["192.0.2.9"])
    assert options.under_way == 18 and options.max_bytes == 10_000_000
    assert options.may_read_metrics("10.1.2.3") and not options.may_read_metrics("127.0.0.1")
    assert options.is_proxy("192.0.2.9") and options.is_proxy("::ffff:192.0.2.9") and not options.is_proxy("nonsense")
    assert ServingOptions().process_count == min(8, cores())
    assert ServingOptions().may_read_metrics("::1") and not ServingOptions().may_read_metrics("192.0.2.1")
