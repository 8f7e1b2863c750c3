"""Where the roles meet: the command line, the supervisor, the API.

Whatever starts here uses one thread for linear algebra.  Matrices of local features (200 x 130 x 128) are so small that
OpenBLAS's second thread only spins: a closer look took 128 ms of processor time (p95) with two, 63 with one.
"""

import os

# Read once, when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
