"""Pretrained networks that judge and teach: perceptual distance and identity."""
