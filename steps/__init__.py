"""One ZenML step per file: it turns artifacts into arguments, calls one function, logs, returns."""

import facerecon  # noqa: F401  # before PyTorch is loaded: it sets how threads wait
