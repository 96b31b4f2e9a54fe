"""Faces out of footage: clips are decoded as a stream, faces found, followed, told apart, and the best frames kept."""
