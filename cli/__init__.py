"""The facerecon command: a thin face on everything below."""

import facerecon  # noqa: F401  # before PyTorch is loaded: it sets how threads wait
