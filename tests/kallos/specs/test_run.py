"""How a run executes a study."""

import pytest

from kallos.specs.run import RunSpec


@pytest.mark.parametrize(
    ("over", "weighs"),
    [
        ({}, True),
        ({"column_importance": False}, False),
        # The fits of columns need processes of this machine.
        ({"executor": "dask"}, False),
    ],
)
def test_a_run_weighs_columns_unless_it_is_told_not_to_or_fits_elsewhere(over, weighs):
    assert RunSpec(**over).weighs_columns is weighs
