"""Bring a new version of the model into production: compared, approved, recorded."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow import CandidateSensor, ZenMLTaskGroup, dag_arguments, dag_settings
from zenml_airflow.promotion.approval import PromotionApprovalOperator
from zenml_airflow.promotion.tasks import PromoteOperator, PromotionDecisionOperator, PromotionNotificationOperator

DOC = """
### Promotion

Starts when training has registered a version, or by hand with the params `version` and `target`. The candidate
is the newest version whose run completed and whose gates passed.

* **A skipped `approval`** after `decision`: the comparison speaks against the candidate; the log has the numbers.
* **A waiting `approval`** is a required action: its page has the numbers; answer it with a reason. Without an
  answer the candidate is rejected. It is skipped if the candidate was superseded meanwhile.
* **`notification`** returns how the run ended; `docs/promotion.md` explains each outcome.
"""

settings = dag_settings(__file__)
model, env = settings.pipelines["training"]["model_name"], settings.environment
paused = settings.airflow.promotion.start_paused
assets = {"production": Asset(f"{settings.use_case}_production_model")}

with DAG(
    dag_id=f"{settings.use_case}_promotion",
    description="Compare a new version with the production model, have it approved, promote it",
    doc_md=DOC,
    tags=[settings.use_case, "promotion", env],
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(days=4),
    params={
        "version": Param(
            None, type=["null", "integer"], minimum=1, description="Version; the newest candidate by default."
        ),
        "target": Param("production", enum=["staging", "production"], description="Stage that it is to enter."),
    },
    **dag_arguments(settings, "promotion", assets=[Asset(f"{settings.use_case}_candidate")], paused=paused),
) as dag:
    candidate = CandidateSensor(
        task_id="candidate",
        environment=env,
        model=model,
        stage="{{ params.target }}",
        version="{{ params.version or '' }}",
    )
    chosen = {"version": "{{ ti.xcom_pull(task_ids='candidate')['version'] }}", "stage": "{{ params.target }}"}
    comparison = ZenMLTaskGroup("champion_challenger", run_params=chosen, settings=settings)
    decision = PromotionDecisionOperator(task_id="decision", environment=env, candidate=candidate.output)
    approval = PromotionApprovalOperator(task_id="approval", environment=env, assessed=decision.output)
    promote = PromoteOperator(
        task_id="promote", environment=env, assessed=decision.output, answer=approval.output, assets=assets
    )
    notification = PromotionNotificationOperator(task_id="notification", environment=env)
    candidate >> comparison >> decision >> approval >> promote >> notification
