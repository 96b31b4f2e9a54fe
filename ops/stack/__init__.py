"""Stacks as code: what `infra/stacks/` says is registered with ZenML, and what the active one says is used."""
