"""A package that is missing is refused with what to install."""
import pytest

from mxft.errors import InputError
from mxft.machine.packages import require_package


def test_a_package_that_is_there_is_given():
    assert require_package("numpy.linalg", "counting").norm([3, 4]) == 5


def test_a_missing_one_is_refused_with_what_to_install():
    with pytest.raises(InputError) as refused:
        require_package("no_such_package.inner", "reading dreams", extra="dreams")
    assert str(refused.value) == ("reading dreams: expected the package no_such_package, which is not installed; pip "
                                  "install no_such_package (or pip install 'mxft[dreams]' for all that goes with it)")
