#!/bin/sh
# The databases of Airflow and MLflow, each with a user of its own. The image's entrypoint runs it once, on a new volume.
set -e
for name in airflow mlflow; do
  password=$(cat "/run/secrets/${name}_db_password")
  test -n "$password" || { echo "Secret ${name}_db_password is missing or empty." >&2; exit 1; }
  psql -v ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
CREATE USER $name PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
SQL
done
psql -v ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres -c "CREATE DATABASE mlflow_auth OWNER mlflow"
