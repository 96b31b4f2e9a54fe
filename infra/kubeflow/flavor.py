"""The orchestrator flavor `facerecon_kubeflow`, and what can be said of it in a stack file and in a run's YAML."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator
from zenml.config.base_settings import BaseSettings
from zenml.integrations.kubeflow.flavors import KubeflowOrchestratorFlavor
from zenml.orchestrators import BaseOrchestratorConfig
from zenml.utils.secret_utils import SecretField

from facerecon.settings import Settings

if TYPE_CHECKING:
    from infra.kubeflow.orchestrator import KubeflowOrchestrator

API_KEY = "ZENML_STORE_API_KEY"
"""The variable in which ZenML's client looks for the key of a service account."""


class Claim(Settings):
    """A place in a pod where a PersistentVolumeClaim, or the folder ``sub_path`` of one, is mounted."""

    name: str
    mount_path: str = Field(pattern="^/")
    sub_path: str = ""


class SecretKey(Settings):
    """A key of a Kubernetes secret."""

    secret: str
    key: str


class Toleration(Settings):
    """A toleration of a pod, in Kubernetes' terms."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None
    toleration_seconds: int | None = None


class KubeflowSettings(BaseSettings):
    """What a run, or one of its steps, can change: each key given replaces the stack's as a whole.

    ``secrets_as_env`` are variables with values out of Kubernetes secrets, ``shared_memory`` is the size of /dev/shm.
    A run that is ``synchronous`` is waited for, ``timeout`` seconds at most. The client's keys are ZenML's.
    """

    synchronous: bool = True
    timeout: int = Field(86_400, gt=0)
    client_args: dict[str, Any] = Field(default_factory=dict)
    client_username: str | None = SecretField(default=None)
    client_password: str | None = SecretField(default=None)
    user_namespace: str | None = None
    claims: list[Claim] = Field(default_factory=list)
    secrets_as_env: dict[str, SecretKey] = Field(default_factory=dict)
    shared_memory: str | None = Field(None, pattern=r"^[1-9]\d*(Ki|Mi|Gi)$")
    node_selectors: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    image_pull_secrets: list[str] = Field(default_factory=list)


class KubeflowConfig(BaseOrchestratorConfig, KubeflowSettings):
    """What a stack file says under ``configuration``: where Kubeflow Pipelines is, and the settings of all steps."""

    kubeflow_hostname: str | None = None
    kubeflow_namespace: str = "kubeflow"
    kubernetes_context: str | None = None

    @model_validator(mode="after")
    def _has_a_key(self) -> "KubeflowConfig":
        if API_KEY not in self.secrets_as_env:
            raise ValueError(
                f"secrets_as_env: {API_KEY} missing: steps log in to the ZenML server with the key of a service "
                "account, which a Kubernetes secret holds"
            )
        return self

    @property
    def is_remote(self) -> bool:
        """Steps run elsewhere and must reach the ZenML server."""
        return True

    @property
    def is_synchronous(self) -> bool:
        """Whether runs are waited for."""
        return self.synchronous

    @property
    def is_schedulable(self) -> bool:
        """Kubeflow starts recurring runs by itself."""
        return True

    @property
    def supports_client_side_caching(self) -> bool:
        """No: what a step left behind is verified where it lies, on the claims."""
        return False


class KubeflowFlavor(KubeflowOrchestratorFlavor):
    """ZenML's flavor with claims, secrets, /dev/shm, tolerations, limits of GPUs, and without tokens in the clear."""

    @property
    def name(self) -> str:
        """The name in stack files."""
        return "facerecon_kubeflow"

    @property
    def config_class(self) -> type[KubeflowConfig]:  # type: ignore[override]  # ZenML's drops the pods' settings
        """The class of a component's configuration."""
        return KubeflowConfig

    @property
    def implementation_class(self) -> type["KubeflowOrchestrator"]:
        """The orchestrator; kfp is imported with it."""
        from infra.kubeflow.orchestrator import KubeflowOrchestrator

        return KubeflowOrchestrator
