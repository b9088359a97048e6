"""One thread, as in the workflow (results depend on the number of threads), and repeatable property tests."""

import os

from hypothesis import settings

# Before numpy and torch are imported, which read them once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

# The same examples at every run, and no deadline, since a busy machine is not a fault.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
