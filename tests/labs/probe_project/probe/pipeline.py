"""extract -> transform -> check (a gate) -> publish, and extract -> side."""

from typing import Annotated

from zenml import pipeline, step

from probe.acting import act, publish

_TASK = {"airflow": {"retries": 1, "retry_delay_seconds": 1, "timeout_seconds": 400}}
_GATE = {"airflow": {"retries": 1, "retry_delay_seconds": 1, "timeout_seconds": 400, "gate": True}}


@step(enable_cache=False, extra=_TASK)
def extract() -> Annotated[str, "extracted"]:
    return act("extract")


@step(enable_cache=False, extra=_TASK)
def transform(extracted: str) -> Annotated[str, "transformed"]:
    return f"{extracted} {act('transform')}"


@step(enable_cache=False, extra=_TASK)
def side(extracted: str) -> Annotated[str, "sided"]:
    return f"{extracted} {act('side')}"


@step(enable_cache=False, extra=_GATE)
def check(transformed: str) -> Annotated[str, "checked"]:
    return f"{transformed} {act('check')}"


@step(enable_cache=False, extra=_TASK)
def load(checked: str) -> Annotated[str, "loaded"]:
    text = f"{checked} {act('load')}"
    publish(text)
    return text


@pipeline(name="probe", enable_cache=False)
def probe() -> None:
    extracted = extract()
    transformed = transform(extracted)
    side(extracted)
    load(check(transformed))
