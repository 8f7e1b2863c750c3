"""The worker role, and what is trained and measured for it; started alone, with one thread for linear algebra too.

Fitting a classifier took 110 s of a busy machine with two, for OpenBLAS's second thread spins.
"""

import os

# Read once, when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
