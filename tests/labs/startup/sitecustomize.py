"""Python imports this first in every process that a test starts: conftest.py puts its folder on PYTHONPATH.

The tests start hundreds of processes, each for seconds, and import Airflow or ZenML in most. A third of that was
garbage collection, see ``zenml_airflow.runtime.preload.collect_rarely``; only time and memory depend on it.
"""

import atexit
import gc

gc.set_threshold(100_000, 20, 20)
atexit.register(gc.freeze)
