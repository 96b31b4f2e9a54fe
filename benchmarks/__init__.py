"""What the project's figures are measured with."""

import facerecon  # noqa: F401  # before PyTorch is loaded: it sets how threads wait
