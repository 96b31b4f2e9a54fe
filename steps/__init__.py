"""One ZenML step per file: it turns artifacts into arguments, calls one function, logs, returns."""
