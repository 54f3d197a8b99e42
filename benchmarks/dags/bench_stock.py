"""Contender: what the stock ZenML Airflow orchestrator does, a fresh interpreter for each step."""

from itertools import pairwise

from airflow.sdk import DAG

from benchmarks.bench_dag import bench_arguments
from benchmarks.facts import Facts
from benchmarks.stock import StockStepOperator
from zenml_airflow.dags import load_settings

settings = load_settings()

with DAG("bench_stock", **bench_arguments(settings)):
    tasks = [StockStepOperator(task_id=name, step_name=name) for name in Facts.read(settings.state_dir).steps]
    for before, after in pairwise(tasks):
        before >> after
