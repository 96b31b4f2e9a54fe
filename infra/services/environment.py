"""Ports, addresses and secrets of the servers, made once and kept in files that only their owner reads."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from facerecon.errors import FaceReconError
from facerecon.files import write_text
from facerecon.workspace import state_folder
from ops.stack.files import read_variables

HOST = "127.0.0.1"
FIRST_PORT = 45_000
HIGHEST_FIRST_PORT = 55_000
"""SeaweedFS listens on each of its ports plus 10,000, too."""

MLFLOW, ZENML, S3, POSTGRES, MARIADB, MASTER, VOLUME, FILER = range(8)
"""Each server's port, from the first one."""


def services_folder() -> Path:
    """The servers' data, logs and secrets, in the state folder."""
    return state_folder() / "services"


def environment_file() -> Path:
    """Addresses and secrets for those who use the servers; `facerecon stack services` reads it."""
    return services_folder() / "environment"


@dataclass(frozen=True)
class Environment:
    """``clients`` is what those need who use the servers, ``servers`` what the servers need of each other."""

    first_port: int
    clients: dict[str, str]
    servers: dict[str, str]

    def port(self, server: int) -> int:
        """The port of a server."""
        return self.first_port + server

    def secret(self, name: str) -> str:
        """A secret of clients or servers."""
        return {**self.clients, **self.servers}[name]


def prepare(first_port: int | None) -> Environment:
    """The environment there is, with what is missing of it made; another ``first_port`` replaces the one there was.

    Raises:
        FaceReconError: the port is out of range.
    """
    folder = services_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    clients, servers = read_variables(environment_file()), read_variables(folder / "servers")
    first = first_port or int(servers.get("FIRST_PORT", FIRST_PORT))
    if not 1024 <= first <= HIGHEST_FIRST_PORT:
        raise FaceReconError(f"first port {first}: expected 1024 to {HIGHEST_FIRST_PORT}")
    servers["FIRST_PORT"] = str(first)
    for name, server in (("MLFLOW", MLFLOW), ("ZENML", ZENML), ("S3", S3)):
        clients[f"FACERECON_{name}_URL"] = f"http://{HOST}:{first + server}"
    clients.setdefault("FACERECON_MLFLOW_USER", "facerecon")
    for name in ("MLFLOW_PASSWORD", "S3_KEY", "S3_SECRET"):
        clients.setdefault(f"FACERECON_{name}", secrets.token_hex(16))
    for name in ("POSTGRES_PASSWORD", "MARIADB_PASSWORD", "ZENML_PASSWORD", "MLFLOW_SECRET", "JWT_SECRET"):
        servers.setdefault(name, secrets.token_hex(16))
    servers.setdefault("ENCRYPTION_KEY", secrets.token_hex(32))
    write_variables(environment_file(), clients)
    write_variables(folder / "servers", servers)
    return Environment(first, clients, servers)


def write_variables(path: Path, variables: dict[str, str]) -> None:
    """Replace a file of ``KEY=VALUE`` lines that only its owner can read."""
    write_text(path, "".join(f"{name}={value}\n" for name, value in sorted(variables.items())), mode=0o600)
