"""Write ZenML's configuration from two processes, read it in a third, and say what was seen.

Arguments: the configuration's folder, how many seconds, modules to import before ZenML.
"""

import importlib
import json
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context
from uuid import uuid4

folder, seconds, *modules = sys.argv[1:]
os.environ["ZENML_CONFIG_PATH"] = folder
for module in modules:
    importlib.import_module(module)

import yaml  # noqa: E402
from zenml.config.global_config import GlobalConfiguration  # noqa: E402

reader = os.getpid()
config = GlobalConfiguration()
SHORT = len(config._read_config())


def write(long):
    if long:
        config.active_project_id = config.active_stack_id = uuid4()
    while os.getppid() == reader:
        config._write_config()
        time.sleep(0.001)


def seen():
    try:
        found = config._read_config()
    except yaml.YAMLError as error:
        return type(error).__name__
    return {0: "empty", SHORT: "short", SHORT + 2: "long"}.get(len(found), "other")


fork = get_context("fork")
writers = [fork.Process(target=write, args=(long,), daemon=True) for long in (False, True)]
for writer in writers:
    writer.start()
while seen() != "long":
    time.sleep(0.01)
end = time.monotonic() + float(seconds)
print(json.dumps(Counter(seen() for _ in iter(lambda: time.monotonic() < end, False))))
