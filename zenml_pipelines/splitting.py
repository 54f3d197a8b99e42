"""Split encounters in time and by patient."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from zenml_pipelines.contract import DISPOSITION
from zenml_pipelines.data.schema import ENCOUNTER_ID, LABEL, PATIENT_ID, TERMINAL_DISPOSITIONS, Readmitted


class SplitError(ValueError):
    """The data cannot be split as configured."""


def can_be_readmitted(frame: pd.DataFrame) -> pd.Series:
    """Which rows end alive and outside a hospice: n booleans."""
    return ~frame[DISPOSITION].isin(TERMINAL_DISPOSITIONS)


def labels(frame: pd.DataFrame) -> pd.Series:
    """The event: readmitted within 30 days. n integers, 0 or 1."""
    return (frame[LABEL] == Readmitted.WITHIN_30_DAYS.value).astype("int64")


def split_in_time(frame: pd.DataFrame, test_fraction: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into an earlier training part and a later test part without a common patient.

    Order is ``encounter_id``. Discharges to death or hospice are dropped first, since they cannot be
    readmitted. The latest ``test_fraction`` of the rest is the test part, complete, because that is what the
    model meets in production: new patients and returning ones. A patient found in it is therefore taken out
    of the training part and not out of the test part; the other way round the test part would lose its
    frequent visitors and its event rate would fall from 11 to 9 percent.

    Args:
        frame: n encounters with label.
        test_fraction: Share of rows in the test part, in (0, 1).

    Returns:
        The training part and the test part, each sorted by ``encounter_id``.

    Raises:
        SplitError: If a part is empty.
    """
    usable = frame.loc[can_be_readmitted(frame)].sort_values(ENCOUNTER_ID, kind="stable")
    cut = len(usable) - round(len(usable) * test_fraction)
    test = usable.iloc[cut:]
    train = usable.iloc[:cut]
    train = train.loc[~train[PATIENT_ID].isin(test[PATIENT_ID])]
    if train.empty or test.empty:
        raise SplitError(
            f"Of {len(frame)} encounters, {len(usable)} can be readmitted; test_fraction {test_fraction} "
            "leaves "
            f"{len(train)} to train on and {len(test)} to test on. Both need rows: change the fraction or "
            "the data."
        )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def unseen_rows(frame: pd.DataFrame, trained: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The labelled rows that no model has seen: later than all that was trained on, of patients in none of it.

    Discharges to death or hospice are left out, as in training.

    Args:
        frame: n encounters with label.
        trained: The training part of each model.

    Returns:
        The rows in time order.
    """
    last = max((int(part[ENCOUNTER_ID].max()) for part in trained), default=0)
    known = pd.concat([part[PATIENT_ID] for part in trained]).unique() if trained else []
    new = (frame[ENCOUNTER_ID] > last) & ~frame[PATIENT_ID].isin(known) & can_be_readmitted(frame)
    return frame.loc[new].sort_values(ENCOUNTER_ID, kind="stable").reset_index(drop=True)
