"""What a deployment asks of Git and of the stack file does not grow with the number of pipelines."""

import json
import os

from labs import ROOT, stores, warm

CODE = """
import json, sys
from zenml_mlops.environment.deploying import deploy_all
from zenml_mlops.environment.process import enter

asked = {"git": 0, "stack file": 0}

def hear(event, arguments):
    if event == "subprocess.Popen" and arguments[0] == "git":
        asked["git"] += 1
    if event == "open" and str(arguments[0]) == sys.argv[1]:
        asked["stack file"] += 1

settings = enter("local")
sys.addaudithook(hear)
deploy_all(settings, lambda line: None, sys.argv[2:])
print(json.dumps(asked))
"""


def asked(state, *pipelines):
    """How often Git was started and the stack file opened while pipelines were deployed."""
    stores.give_zenml(state / "zenml")
    stores.give_mlflow(state)
    play = state / "play.py"
    play.write_text(CODE)
    environment = {**os.environ, "MLOPS_STATE_DIR": str(state)}
    done = warm.run([play, ROOT / "stacks" / "local.yaml", *pipelines], env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_git_and_the_stack_file_are_asked_once_whatever_the_number_of_pipelines(tmp_path):
    assert asked(tmp_path, "training", "batch_inference") == {"git": 2, "stack file": 1}
