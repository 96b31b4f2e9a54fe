"""Take what was removed out of the servers' files: databases and SeaweedFS mark it, and overwrite it at some time."""

from collections.abc import Callable

import requests

from facerecon.errors import FaceReconError
from infra.services.environment import HOST, MASTER, POSTGRES, Environment, services_folder
from infra.services.programs import DATABASES

SMALLEST = "0.000001"
"""The share of a volume that must be garbage so that SeaweedFS writes it anew: any."""

STEP = 4 << 20
"""By so many bytes the log of MariaDB is made larger for a moment."""


def compact(made: Environment, say: Callable[[str], None]) -> None:
    """Write anew what PostgreSQL, MariaDB and SeaweedFS keep, without what was removed.

    Raises:
        FaceReconError: a server does not run, or refuses.
    """
    import psycopg2
    import pymysql

    for name, work, errors in (
        ("PostgreSQL", _postgres, psycopg2.Error),
        ("MariaDB", _mariadb, pymysql.MySQLError),
        ("SeaweedFS", _seaweedfs, requests.RequestException),
    ):
        try:
            work(made)
        except errors as error:
            said = " ".join(str(error).split())[:200]
            raise FaceReconError(
                f"{name} cannot write its files anew ({said}): start it with `make services`"
            ) from error
        say(f"{name:12} has written its files anew")


def _postgres(made: Environment) -> None:
    import psycopg2

    for database in DATABASES:
        connection = psycopg2.connect(
            host=HOST,
            port=made.port(POSTGRES),
            user="facerecon",
            password=made.secret("POSTGRES_PASSWORD"),
            dbname=database,
            connect_timeout=5,
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                # the log of changes holds the old rows too: two checkpoints later no file of it from before is needed
                for statement in ("VACUUM FULL", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
                    cursor.execute(statement)
        finally:
            connection.close()


def _mariadb(made: Environment) -> None:
    import pymysql

    connection = pymysql.connect(
        unix_socket=str(services_folder() / "mariadb" / "socket"),
        user="root",  # what follows is not allowed to ZenML's server
        password=made.secret("MARIADB_PASSWORD"),
        database="zenml",
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        # ZenML leaves what was noted on a run or a model when it deletes these
        cursor.execute("DELETE FROM run_metadata WHERE id NOT IN (SELECT run_metadata_id FROM run_metadata_resource)")
        cursor.execute("SHOW TABLES")
        tables = ", ".join(f"`{name}`" for (name,) in cursor.fetchall())
        cursor.execute(f"OPTIMIZE TABLE {tables}")
        # the log of changes holds the old rows, too: of another size it is begun anew
        cursor.execute("SELECT @@innodb_log_file_size")
        [[size]] = cursor.fetchall()
        for wanted in (size + STEP, size):
            cursor.execute(f"SET GLOBAL innodb_log_file_size = {wanted}")


def _seaweedfs(made: Environment) -> None:
    answer = requests.get(
        f"http://{HOST}:{made.port(MASTER)}/vol/vacuum", params={"garbageThreshold": SMALLEST}, timeout=600
    )
    answer.raise_for_status()
