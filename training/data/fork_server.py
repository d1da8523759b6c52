"""What the fork server of the workers imports, and nothing else may: it leaves a SIGTERM to who started it.

A job is ended by a SIGTERM to all of its processes (Slurm, systemd). The training process ends its workers when it has
saved; a server that had ended before would seem to it to be the end of the workers.
"""

import os
import signal
from functools import partial

signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))

from vljepa_edge.training.data import loader  # noqa: E402, F401  # what takes long to import, once for all forks
