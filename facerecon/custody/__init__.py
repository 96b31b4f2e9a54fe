"""Chain of custody: who signed a record, and what was done when. Without PyTorch."""
