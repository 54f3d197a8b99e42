"""Imported by every Airflow component in a container."""

import sys

from airflow.configuration import conf

from zenml_airflow.runtime.preload import preload_if_forking

preload_if_forking(sys.argv, executor=conf.get("core", "executor"))
