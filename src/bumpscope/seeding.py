"""Random numbers that depend on what they are for, never on what was drawn before.

Every draw comes from a generator seeded by (run seed, purpose, counter). So a training that resumes needs
only its step count, sampling cannot disturb training, and a run is the same alone and in a grid.
"""

from __future__ import annotations

import numpy as np

# Each purpose is a stream of its own; a new purpose takes a new number, since changing one changes results.
PURPOSES = {"weights": 1, "batch": 2, "image noise": 3, "geometry": 4, "topology": 5, "effects": 6, "shared noise": 7}
# Of controls.
PURPOSES |= {"permuted labels": 8, "default weights": 9}
PURPOSES |= {"interventions": 10, "intervention noise": 11, "random subspace": 12}


def derived_seed(seed: int, purpose: str, counter: int = 0) -> int:
    """A 63-bit seed for draw number ``counter`` of ``purpose`` in the run with this ``seed``."""
    state = np.random.SeedSequence([seed, PURPOSES[purpose], counter]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
