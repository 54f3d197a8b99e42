import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipelines"))

from pipeline_fixtures import generated, in_production, small_workspace  # noqa: F401 - fixtures
