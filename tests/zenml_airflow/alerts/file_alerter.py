"""A ZenML alerter that appends to a file: the smallest real one."""

import os
from pathlib import Path

from zenml.alerter.base_alerter import BaseAlerter, BaseAlerterFlavor


class FileAlerter(BaseAlerter):
    def post(self, message, params=None):
        with Path(os.environ["ALERTS"]).open("a") as file:
            file.write(message + "\n")
        return True


class FileAlerterFlavor(BaseAlerterFlavor):
    @property
    def name(self):
        return "file"

    @property
    def implementation_class(self):
        return FileAlerter
