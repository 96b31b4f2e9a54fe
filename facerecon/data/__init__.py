"""From photographs to aligned, split, validated faces."""
