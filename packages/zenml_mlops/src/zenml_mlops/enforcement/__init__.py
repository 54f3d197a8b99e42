"""Where policies are enforced: at run start, at task start, and in Airflow's cluster policies."""
