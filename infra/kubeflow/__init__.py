"""Kubeflow Pipelines: an orchestrator that adds to ZenML's what a training in a cluster needs."""
