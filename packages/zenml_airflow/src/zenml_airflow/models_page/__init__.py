"""The page Models of Airflow's UI."""
