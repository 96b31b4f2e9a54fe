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
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Variables that switch telemetry off, and keep ZenML from opening a browser."""

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

quiet_libraries()
