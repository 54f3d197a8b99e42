"""Split rows in time and by group."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from zenml_mlops.data.contract import Contract


class SplitError(ValueError):
    """The data cannot be split as configured."""


def split_in_time(
    frame: pd.DataFrame, contract: Contract, test_fraction: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into an earlier training part and a later test part without a common group.

    Order is the row id. Rows that the contract excludes are dropped first. The latest ``test_fraction`` of the
    rest is the test part, complete, because that is what the model meets in production: new groups and returning
    ones. A group found in it is therefore taken out of the training part and not out of the test part; the other
    way round the test part would lose those that return often, and with them part of its events (of the published
    encounters, the event rate would fall from 11 to 9 percent).

    Args:
        frame: n rows with label.
        test_fraction: Share of rows in the test part, in (0, 1).

    Returns:
        The training part and the test part, each sorted by row id.

    Raises:
        SplitError: If a part is empty.
    """
    usable = frame.loc[contract.in_scope(frame)].sort_values(contract.row_id, kind="stable")
    cut = len(usable) - round(len(usable) * test_fraction)
    test = usable.iloc[cut:]
    train = usable.iloc[:cut]
    train = train.loc[~train[contract.group_id].isin(test[contract.group_id])]
    if train.empty or test.empty:
        raise SplitError(
            f"Of {len(frame)} rows, {len(usable)} are in scope; test_fraction {test_fraction} leaves {len(train)} "
            f"to train on and {len(test)} to test on. Both need rows: change the fraction or the data."
        )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def unseen_rows(frame: pd.DataFrame, contract: Contract, trained: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The labelled rows that no model has seen: later than all that was trained on, of groups in none of it.

    Rows that the contract excludes are left out, as in training.

    Args:
        frame: n rows with label.
        trained: The training part of each model.

    Returns:
        The rows in time order.
    """
    row, group = contract.row_id, contract.group_id
    last = max((int(part[row].max()) for part in trained), default=0)
    known = pd.concat([part[group] for part in trained]).unique() if trained else []
    new = (frame[row] > last) & ~frame[group].isin(known) & contract.in_scope(frame)
    return frame.loc[new].sort_values(row, kind="stable").reset_index(drop=True)
