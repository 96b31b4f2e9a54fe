"""What hides or degrades a face: masks, degradations, how they grow in training, the frozen evaluation sets."""
