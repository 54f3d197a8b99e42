"""``python -m benchmarks.overhead_worker N SIZES``: run chains of trivial steps and time their parts.

Works as a task of the in-process launcher does: the libraries are imported before, the run goes through
``zenml_airflow.runtime.runner.run_steps``. Methods are wrapped for timing here and nowhere else. Writes
``overhead.json`` into the state folder.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.stopwatch import Stopwatch
from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import stack_id

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings

HERE = Path(__file__).resolve().parent
PACKAGE = "trivial"
DAY = date(2026, 1, 1)

STORE, CODE, MATERIALIZERS = "ZenML store calls", "code download", "materializers"
LOGS, PACKAGES, STACK = "step logs", "list of installed packages", "stack and its components"


def main() -> None:
    """Deploy a chain of each size, then run each in turns."""
    rounds, sizes = int(sys.argv[1]), [int(size) for size in sys.argv[2].split(",")]
    settings = enter(None)
    # Every part works in a child: a fork must not share the connections of its parent.
    manifests: dict[str, Any] = in_child(lambda: deploy(settings, sizes))
    # As the services are told: the deployment has brought the database up to date.
    os.environ["DISABLE_DATABASE_MIGRATION"] = "True"
    from zenml_airflow.runtime.preload import LOCAL_EXECUTOR, preload_if_forking

    if not preload_if_forking(["airflow", "scheduler"], executor=LOCAL_EXECUTOR):
        raise RuntimeError("The libraries are not preloaded: airflow.preload must be on in this environment.")
    first = [in_child(lambda: run_all(settings, manifests, [sizes[0]])) for _ in range(rounds)]
    samples = in_child(lambda: run_all(settings, manifests, sizes * (rounds + 1)))
    warm: dict[str, list[dict[str, Any]]] = {str(size): [] for size in sizes}
    for sample in samples[len(sizes) :]:
        warm[str(sample["size"])].append(sample)
    result = {
        "warm": warm,
        "first": [samples[0] for samples in first],
        "bare_us": {str(size): _bare(size) for size in sizes},
    }
    (settings.state_dir / "overhead.json").write_text(json.dumps(result), encoding="utf-8")


def in_child(work: Callable[[], Any]) -> Any:
    """Do some work in a fork of this process, as an Airflow worker does, and return its JSON.

    Raises:
        RuntimeError: If it fails.
    """
    child, answer = fork(work)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("A measuring process failed: see above.")
    return json.loads(answer)


def fork(work: Callable[[], Any], afterwards: Callable[[], Any] | None = None) -> tuple[int, str]:
    """Do some work in a fork of this process; return the fork's pid and the JSON of the work, empty if it failed.

    Args:
        work: What the fork does.
        afterwards: What it does once it has answered.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as pipe:
                json.dump(work(), pipe)
            if afterwards is not None:
                afterwards()
            status = 0
        except BaseException:  # noqa: BLE001 - a fork must not run its parent's clean-up
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return child, pipe.read()


def deploy(settings: Settings, sizes: list[int]) -> dict[str, Any]:
    """Deploy a chain of each size; return the manifests."""
    from zenml_airflow.deploy.deploy import deploy_pipeline
    from zenml_airflow.runtime.active_stack import active_stack

    sys.path.insert(0, str(HERE))
    pipelines = importlib.import_module(f"{PACKAGE}.pipelines")
    apply_stack(settings)
    # The folder of the benchmarks stands for the checkout: its package travels with the snapshot.
    own = settings.model_copy(update={"project_root": HERE})
    manifests = {}
    with active_stack(stack_id(settings, scheduled=True)):
        for size in sizes:
            manifest, _ = deploy_pipeline(pipelines.chain(size), {}, settings=own, packages=(PACKAGE,))
            manifests[str(size)] = manifest.model_dump(mode="json")
    return manifests


def run_all(settings: Settings, manifests: dict[str, Any], sizes: list[int]) -> list[dict[str, Any]]:
    """Run a chain of each of the sizes, one after the other in this process; what each took, by part."""
    from zenml_airflow.context import cli_context
    from zenml_airflow.manifest.manifest import Manifest
    from zenml_airflow.runtime.runner import StepsRequest, run_steps

    watch, statements = Stopwatch(), Counter[str]()
    _instrument(watch, statements)
    samples = []
    for size in sizes:
        manifest = Manifest.model_validate(manifests[str(size)])
        names = tuple(step.name for step in manifest.steps)
        request = StepsRequest(
            group_id=manifest.pipeline,
            snapshot_id=manifest.snapshot_id,
            code_digest=manifest.code.digest,
            steps=names,
            placed=names,
        )
        context = cli_context(DAY, environment=settings.environment, storage_root=settings.storage_root)
        statements.clear()
        watch.reset()
        started = time.perf_counter()
        run_steps(request, context, code_cache=settings.state_dir / "code")
        wall = time.perf_counter() - started
        samples.append({"size": size, "wall": wall, **watch.read(), "sql": dict(statements)})
    return samples


def _instrument(watch: Stopwatch, statements: Counter[str]) -> None:
    """Time the parts of a run and count what reaches the database."""
    import zenml.environment
    import zenml.orchestrators.step_runner as step_runner
    from sqlalchemy import Engine, event
    from zenml.stack import Stack
    from zenml.utils.logging_utils import LoggingContext
    from zenml.zen_stores.sql_zen_store import SqlZenStore
    from zenml.zen_stores.zen_store_interface import ZenStoreInterface

    import zenml_airflow.runtime.runner as runner

    for method in sorted(ZenStoreInterface.__abstractmethods__):
        if callable(getattr(SqlZenStore, method, None)):
            watch.wrap(SqlZenStore, method, STORE)
    for method in ("fetch_code", "activate_code"):
        watch.wrap(runner, method, CODE)
    watch.wrap(step_runner, "_store_artifact_data_and_prepare_request", MATERIALIZERS)
    watch.wrap(step_runner.StepRunner, "_load_input_artifact", MATERIALIZERS)
    watch.wrap(LoggingContext, "begin", LOGS)
    watch.wrap(LoggingContext, "end", LOGS)
    watch.wrap(zenml.environment, "get_run_environment_dict", PACKAGES)
    watch.wrap(Stack, "from_model", STACK)

    @event.listens_for(Engine, "before_cursor_execute")
    def count_statement(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements[statement.split(None, 1)[0].upper()] += 1

    @event.listens_for(Engine, "commit")
    def count_commit(_: Any) -> None:
        statements["COMMIT"] += 1


def _bare(size: int) -> float:
    """Microseconds that the functions of a chain take when they are just called."""
    from benchmarks.trivial.pipelines import bare

    repeats = 1000
    started = time.perf_counter()
    for _ in range(repeats):
        bare(size)
    return 1e6 * (time.perf_counter() - started) / repeats


if __name__ == "__main__":
    main()
