import sys
from pathlib import Path

# What makes model versions for the tests of promotions makes them for these.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "governance"))
