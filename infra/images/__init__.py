"""The image that steps run in: `make image` makes it of this tree and the locked packages."""
