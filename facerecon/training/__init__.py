"""Losses, augmentation, the loop, checkpoints."""
