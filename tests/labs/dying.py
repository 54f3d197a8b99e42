"""A process that is gone, without any clean-up, after one of its writes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any

from zenml.client import Client

FORK = multiprocessing.get_context("fork")


def die_after(count: int, call: Callable[[], Any], effects: Sequence[tuple[type, Sequence[str]]]) -> bool:
    """Run ``call`` in a process that dies after its ``count``-th write; tell whether it came that far.

    Args:
        count: The write, from 1.
        call: What is done.
        effects: The methods that write, by class.
    """

    def child() -> None:
        Client().zen_store.engine.dispose(close=False)
        left = [count]

        def dying(original: Callable[..., Any]) -> Callable[..., Any]:
            def write(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)
                return result

            return write

        for owner, names in effects:
            for name in names:
                setattr(owner, name, dying(getattr(owner, name)))
        call()
        os._exit(0)

    process = FORK.Process(target=child)
    process.start()
    process.join(300)
    return process.exitcode == 9
