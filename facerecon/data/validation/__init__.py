"""Great Expectations on the manifest: what the data must fulfil before anything is trained on it."""
