"""Steps in containers: what the image holds, what a run asks of it, and how a step starts there."""
