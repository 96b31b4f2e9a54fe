"""What hides a face: masks, their curriculum, the frozen evaluation sets."""
