"""Colours that stand together are told apart by the colour-blind and in grey, by shade or by line and marker."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from bumpscope.show import style
from bumpscope.show.figures import (
    decodability,
    imbalance_curves,
    label_effects,
    learning_and_geometry,
    persistence,
    prediction,
    rare_common,
    weights,
)

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# Differences (CIEDE2000; in grey, of lightness L*) that are plainly seen side by side; 1 is just noticeable.
FOR_AREAS, FOR_LINES, IN_GREY = 15.0, 10.0, 8.0
LINES = {
    "models": style.MODELS,
    "decodability": decodability.LINES,
    "label effects": label_effects.EFFECTS,
    "timesteps": {str(number): look for number, look in enumerate(label_effects.TIMES)},
    "axes and their nulls": {
        **{f"{number}": look for number, look in enumerate(imbalance_curves.OWN)},
        **{f"{number} null": look for number, look in enumerate(imbalance_curves.NULL)},
    },
    "predictions": prediction.LOOKS,
    "weights": weights.LOOKS,
    "frequency": rare_common.LOOKS,
    "dimensions": {str(dimension): look for dimension, look in persistence.LOOKS.items()},
    "geometry": {
        "orthogonality": learning_and_geometry.ORTHOGONAL,
        **{str(number): look for number, look in enumerate(learning_and_geometry.PARALLEL)},
    },
    "datasets": style.line_styles([str(number) for number in range(14)]),
}
AREAS = {"outcomes": style.OUTCOMES, "phases": style.PHASES}


def lab(colour: str, deficiency: str = "none") -> np.ndarray:
    """CIELAB of a colour as somebody with a deficiency sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


def difference(one: str, other: str, deficiency: str) -> float:
    if deficiency == "grey":
        return float(abs(lab(one)[0] - lab(other)[0]))
    return float(deltaE_ciede2000(lab(one, deficiency), lab(other, deficiency)))


def test_the_simulation_takes_from_each_deficiency_what_it_cannot_see():
    assert difference("#d00000", "#606000", "protanopia") < difference("#d00000", "#606000", "none") / 2
    assert difference("#c06000", "#809000", "deuteranopia") < difference("#c06000", "#809000", "none") / 2
    assert difference("#0080ff", "#00a0a0", "tritanopia") < difference("#0080ff", "#00a0a0", "none") / 2
    for deficiency in DEFICIENCIES:
        assert difference("#777777", "#777777", deficiency) == 0
        assert difference("#000000", "#ffffff", deficiency) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("deficiency", [*DEFICIENCIES, "grey"])
@pytest.mark.parametrize("name", AREAS)
def test_areas_are_told_apart_by_their_colour_alone(name, deficiency):
    least = IN_GREY if deficiency == "grey" else FOR_AREAS
    for one, other in combinations(AREAS[name].values(), 2):
        assert difference(one, other, deficiency) >= least, (one, other)


@pytest.mark.parametrize("deficiency", [*DEFICIENCIES, "grey"])
@pytest.mark.parametrize("name", LINES)
def test_lines_and_marks_are_told_apart_by_colour_or_by_their_shape(name, deficiency):
    least = IN_GREY if deficiency == "grey" else FOR_LINES
    for (one, look), (other, second) in combinations(LINES[name].items(), 2):
        shapes = [(each.get("linestyle"), each.get("marker")) for each in (look, second)]
        told_apart = difference(look["color"], second["color"], deficiency) >= least
        assert told_apart or shapes[0] != shapes[1], (one, other)


@pytest.mark.parametrize("name", ["viridis", "PuOr"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_a_scale_of_colours_never_returns_to_a_colour_it_had(name, deficiency):
    from matplotlib import colormaps

    colours = [tuple(colour[:3]) for colour in colormaps[name](np.linspace(0, 1, 9))]
    for one, other in combinations(colours, 2):
        assert difference(one, other, deficiency) > 4
