"""The five servers: how each is prepared, started, and asked whether it answers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from facerecon.errors import FaceReconError
from facerecon.files import write_json, write_text
from infra.services.environment import (
    FILER,
    HOST,
    MARIADB,
    MASTER,
    MLFLOW,
    POSTGRES,
    S3,
    VOLUME,
    ZENML,
    Environment,
    environment_file,
    services_folder,
    write_variables,
)

BUCKETS = ("mlflow", "zenml", "state")
DATABASES = ("mlflow", "mlflow_auth")
REGION = "us-east-1"
PREPARED = "prepared"


@dataclass(frozen=True)
class Service:
    """A server. ``ports`` are those it listens on; ``check`` raises while it does not answer.

    ``finish`` is done once it answers, at each start: it must be safe to repeat. ``leaves`` are patterns of the files
    that it leaves elsewhere than in its folder.
    """

    name: str
    address: str
    ports: tuple[int, ...]
    command: tuple[str, ...]
    check: Callable[[], None]
    variables: dict[str, str] = field(default_factory=dict)
    finish: Callable[[], None] = lambda: None
    leaves: tuple[str, ...] = ()


def services(made: Environment) -> tuple[Service, ...]:
    """The five servers in the order in which they are started; their folders are prepared.

    Raises:
        FaceReconError: a program is not installed, or could not prepare its folder.
    """
    return postgres(made), mariadb(made), s3(made), mlflow(made), zenml(made)


def postgres(made: Environment) -> Service:
    folder, port = services_folder() / "postgres", made.port(POSTGRES)
    password = made.secret("POSTGRES_PASSWORD")
    programs = _program("initdb", "PostgreSQL", *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)).parent
    if not (folder / PREPARED).exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a preparation that was killed
        secret = services_folder() / "postgres.password"
        write_text(secret, password, mode=0o600)
        options = ("--username=facerecon", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8")
        _prepare("PostgreSQL", (*_unprivileged(), str(programs / "initdb"), f"--pgdata={folder}", *options))
        secret.unlink()
        (folder / PREPARED).touch()

    def connect(database: str) -> "psycopg2.extensions.connection":  # type: ignore[name-defined]  # noqa: F821
        import psycopg2

        return psycopg2.connect(
            host=HOST, port=port, user="facerecon", password=password, dbname=database, connect_timeout=5
        )

    def create() -> None:
        connection = connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {row[0] for row in cursor}
            for name in DATABASES:
                if name not in present:
                    cursor.execute(f"CREATE DATABASE {name}")
        connection.close()

    return Service(
        name="PostgreSQL",
        address=f"postgresql://facerecon@{HOST}:{port}",
        ports=(port,),
        command=(
            *_unprivileged(),
            *(str(programs / "postgres"), "-D", str(folder), "-h", HOST, "-p", str(port)),
            *("-c", "unix_socket_directories=", "-c", "max_connections=100"),
            # files of its log that are needed no more are removed, not kept for the next entries
            *("-c", "wal_recycle=off", "-c", "min_wal_size=32MB"),
        ),
        check=lambda: connect("postgres").close(),
        finish=create,
    )


def mariadb(made: Environment) -> Service:
    folder, port, password = services_folder() / "mariadb", made.port(MARIADB), made.secret("MARIADB_PASSWORD")
    account = ("--user=root",) if os.geteuid() == 0 else ()
    server = _program("mariadbd", "MariaDB", Path("/usr/sbin"))
    if not (folder / PREPARED).exists():
        shutil.rmtree(folder, ignore_errors=True)
        options = (f"--datadir={folder}", "--auth-root-authentication-method=normal", "--skip-test-db")
        _prepare("MariaDB", (str(_program("mariadb-install-db", "MariaDB")), "--no-defaults", *options, *account))
        (folder / PREPARED).touch()
    start = services_folder() / "mariadb.sql"
    statements = (
        f"ALTER USER root@localhost IDENTIFIED BY '{password}'",
        "CREATE DATABASE IF NOT EXISTS zenml",
        f"CREATE USER IF NOT EXISTS facerecon@'{HOST}' IDENTIFIED BY '{password}'",
        f"GRANT ALL ON zenml.* TO facerecon@'{HOST}'",
    )
    write_text(start, "".join(f"{statement};\n" for statement in statements), mode=0o600)

    def check() -> None:
        import pymysql

        pymysql.connect(
            host=HOST, port=port, user="facerecon", password=password, database="zenml", connect_timeout=5
        ).close()

    return Service(
        name="MariaDB",
        address=f"mysql://facerecon@{HOST}:{port}",
        ports=(port,),
        command=(
            *(str(server), "--no-defaults", *account, f"--datadir={folder}", f"--bind-address={HOST}"),
            *(f"--port={port}", f"--socket={folder / 'socket'}", f"--init-file={start}", "--skip-name-resolve"),
        ),
        check=check,
    )


def s3(made: Environment) -> Service:
    folder = services_folder() / "seaweedfs"
    folder.mkdir(exist_ok=True)
    identities = services_folder() / "s3.json"
    key = {"accessKey": made.secret("FACERECON_S3_KEY"), "secretKey": made.secret("FACERECON_S3_SECRET")}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    write_json(identities, {"identities": [{"name": "facerecon", "credentials": [key], "actions": actions}]}, 0o600)
    ports = {name: made.port(server) for name, server in (("master", MASTER), ("volume", VOLUME), ("filer", FILER))}

    listening = tuple(port + more for more in (0, 10_000) for port in (made.port(S3), *ports.values()))

    def client() -> "botocore.client.BaseClient":  # type: ignore[name-defined]  # noqa: F821
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=made.secret("FACERECON_S3_URL"),
            aws_access_key_id=key["accessKey"],
            aws_secret_access_key=key["secretKey"],
            region_name=REGION,
            config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def create() -> None:
        present = {bucket["Name"] for bucket in client().list_buckets()["Buckets"]}
        for name in BUCKETS:
            if name not in present:
                client().create_bucket(Bucket=name)

    def check() -> None:
        create()
        # the gateway answers before the volumes can be written to
        client().put_object(Bucket="state", Key="answers", Body=b"yes")

    return Service(
        name="SeaweedFS",
        address=made.secret("FACERECON_S3_URL"),
        ports=listening,
        command=(
            *(str(_program("weed", "SeaweedFS", Path(sys.executable).parent)), "server", f"-dir={folder}"),
            *(f"-ip={HOST}", f"-ip.bind={HOST}", "-volume.max=100", "-master.volumeSizeLimitMB=1024"),
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *("-filer", "-s3", f"-s3.port={made.port(S3)}", f"-s3.config={identities}", "-s3.iam=false"),
            # telemetry is off, and no further servers are on fixed ports
            *("-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        ),
        check=check,
        leaves=tuple(f"/tmp/seaweedfs-*-{port}.sock" for port in listening),
    )


def mlflow(made: Environment) -> Service:
    port, database = made.port(MLFLOW), f"postgresql+psycopg2://facerecon@{HOST}:{made.port(POSTGRES)}"
    user, password = made.secret("FACERECON_MLFLOW_USER"), made.secret("FACERECON_MLFLOW_PASSWORD")
    accounts = services_folder() / "mlflow.ini"
    lines = (
        "[mlflow]",
        "default_permission = READ",
        # to check a password takes a large part of a second, and each request would
        "auth_cache_ttl_seconds = 60",
        f"database_uri = {database}/mlflow_auth",
        f"admin_username = {user}",
        f"admin_password = {password}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
    )
    write_text(accounts, "\n".join(lines) + "\n", mode=0o600)

    def check() -> None:
        requests.get(f"{made.secret('FACERECON_MLFLOW_URL')}/health", timeout=20).raise_for_status()

    return Service(
        name="MLflow",
        address=made.secret("FACERECON_MLFLOW_URL"),
        ports=(port,),
        command=(
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
            *("--artifacts-destination", "s3://mlflow", "--app-name", "basic-auth"),
            *("--allowed-hosts", f"{HOST}:{port},localhost:{port}"),
        ),
        check=check,
        # by variables: a command line can be read by everybody on the machine
        variables={
            # eight processes for jobs that nobody gives it here
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_BACKEND_STORE_URI": f"{database}/mlflow",
            "MLFLOW_AUTH_CONFIG_PATH": str(accounts),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": made.secret("MLFLOW_SECRET"),
            "MLFLOW_S3_ENDPOINT_URL": made.secret("FACERECON_S3_URL"),
            "AWS_ACCESS_KEY_ID": made.secret("FACERECON_S3_KEY"),
            "AWS_SECRET_ACCESS_KEY": made.secret("FACERECON_S3_SECRET"),
            "AWS_DEFAULT_REGION": REGION,
            "PGPASSWORD": made.secret("POSTGRES_PASSWORD"),
        },
    )


def zenml(made: Environment) -> Service:
    port, address = made.port(ZENML), made.secret("FACERECON_ZENML_URL")
    secret = made.secret("MARIADB_PASSWORD")

    def check() -> None:
        requests.get(f"{address}/health", timeout=20).raise_for_status()

    def create_key() -> None:
        if "FACERECON_ZENML_API_KEY" in made.clients:
            return
        login = {"username": "default", "password": made.secret("ZENML_PASSWORD")}
        token = _posted(f"{address}/api/v1/login", data=login)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        # its page would first ask for an e-mail address and a survey
        answers: dict[str, Any] = {"email_opted_in": False, "user_metadata": {"finished_onboarding_survey": True}}
        requests.put(f"{address}/api/v1/current-user", json=answers, headers=headers, timeout=60).raise_for_status()
        account = {"name": "facerecon", "active": True}
        number = _posted(f"{address}/api/v1/service_accounts", json=account, headers=headers)["id"]
        made_key = _posted(
            f"{address}/api/v1/service_accounts/{number}/api_keys", json={"name": "clients"}, headers=headers
        )
        made.clients["FACERECON_ZENML_API_KEY"] = made_key["body"]["key"]
        write_variables(environment_file(), made.clients)

    return Service(
        name="ZenML",
        address=address,
        ports=(port,),
        command=(
            *(sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app"),
            *("--host", HOST, "--port", str(port), "--log-level", "warning"),
        ),
        check=check,
        variables={
            "ZENML_CONFIG_PATH": str(services_folder() / "zenml"),
            "ZENML_STORE_URL": f"mysql://facerecon:{secret}@{HOST}:{made.port(MARIADB)}/zenml",
            "ZENML_SERVER": "true",
            "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
            "ZENML_SERVER_AUTO_ACTIVATE": "true",
            "ZENML_DEFAULT_USER_PASSWORD": made.secret("ZENML_PASSWORD"),
            "ZENML_SERVER_JWT_SECRET_KEY": made.secret("JWT_SECRET"),
            "ZENML_SECRETS_STORE_TYPE": "sql",
            "ZENML_SECRETS_STORE_ENCRYPTION_KEY": made.secret("ENCRYPTION_KEY"),
        },
        finish=create_key,
    )


def _posted(address: str, **content: Any) -> dict[str, Any]:
    answer = requests.post(address, timeout=60, **content)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _program(name: str, package: str, *folders: Path) -> Path:
    """Where a program is.

    Raises:
        FaceReconError: it is nowhere on the PATH, nor in ``folders``.
    """
    places = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    if (found := shutil.which(name, path=places)) is None:
        raise FaceReconError(f"{name} is not installed: install {package}, see docs/infra.md, and run again")
    return Path(found)


def _unprivileged() -> tuple[str, ...]:
    """What makes a program of root's see another user: PostgreSQL refuses to run as root.

    Its files stay root's, so that they may lie where no other user can go.
    """
    if os.geteuid() != 0:
        return ()
    return (str(_program("unshare", "util-linux")), "--user", "--map-user=1000", "--map-group=1000")


def _prepare(name: str, command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise FaceReconError(f"{name} cannot prepare its folder in {services_folder()}: {said}")
