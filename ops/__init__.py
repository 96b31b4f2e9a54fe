"""What speaks to ZenML, MLflow and DVC.

Faces are private: the telemetry of every tool is off unless the user has set its variable already.
"""

import os

import facerecon  # noqa: F401  # before PyTorch is loaded: it sets how threads wait
from ops.logs import quiet_libraries

QUIET = {
    "ZENML_ANALYTICS_OPT_IN": "false",
    "AUTO_OPEN_DASHBOARD": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Variables that switch telemetry off, and keep ZenML from opening a browser and MLflow from drawing bars."""

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

quiet_libraries()
