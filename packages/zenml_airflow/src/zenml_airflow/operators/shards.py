"""The task that says which shards of a step there are, so that Airflow can map a task over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from zenml_airflow.context import SHARD_COUNTS

if TYPE_CHECKING:
    from airflow.sdk import Context


class NoShardsError(RuntimeError):
    """No step before a sharded one said in how many shards it can be worked on."""


def shards_key(step: str) -> str:
    """Key of the XCom that holds the number of a step's shards."""
    return f"{SHARD_COUNTS}.{step}"


class ZenMLShardsOperator(BaseOperator):
    """Returns the numbers of a step's shards: Airflow maps over what a task returns, and over nothing else.

    Args:
        counted_by: Id of the task that said how many there are.
    """

    ui_color = "#e6dcf7"

    def __init__(self, *, step: str, counted_by: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.counted_by = counted_by

    def execute(self, context: Context) -> list[int]:
        """Return the numbers, from 0.

        Raises:
            NoShardsError: If there is no number, or none above 0.
        """
        count = context["ti"].xcom_pull(task_ids=self.counted_by, key=shards_key(self.step))
        if not isinstance(count, int) or count < 1:
            raise NoShardsError(
                f"Step {self.step!r} runs in shards, and no step before it said in how many (found {count!r}): "
                f"log the run metadata {SHARD_COUNTS!r} in one, such as {{{self.step!r}: 4}}, or switch `sharded` "
                "off."
            )
        self.log.info("%s: %d shards", self.step, count)
        return list(range(count))
