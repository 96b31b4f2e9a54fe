"""The servers of the stack `services`, on this machine: PostgreSQL, S3, MLflow, MariaDB, ZenML."""
