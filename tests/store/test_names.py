import pytest

from bumpscope.store.names import pair_name, two_of


@pytest.mark.parametrize(
    ("factors", "name"), [(("x", "y"), "xy"), (("x", "size"), "x_size"), (("size", "hue"), "size_hue")]
)
def test_the_name_of_a_pair_tells_its_factors(factors: tuple[str, str], name: str) -> None:
    assert pair_name(*factors) == name
    assert two_of(name) == factors
