from __future__ import annotations

from typing import Any

import pytest
import yaml
from labs import ROOT
from pydantic import ValidationError

from zenml_mlops.data.config import DataConfig

BASE = yaml.safe_load((ROOT / "configs" / "base.yaml").read_text())["data"]


def test_the_shared_configuration_is_valid() -> None:
    assert 0 < DataConfig.model_validate(BASE).holdout_fraction < 1


@pytest.mark.parametrize(
    "change",
    [
        {"holdout_fraction": 0.0},
        {"holdout_fraction": 1.0},
        {"raw": "/elsewhere"},
        {"raw": "../elsewhere"},
        {"unknown": 1},
        {"feed": {**BASE["feed"], "per_day": 0}},
        {"feed": {**BASE["feed"], "start_date": "soon"}},
    ],
)
def test_a_mistake_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate({**BASE, **change})
