"""What a run is made of: bounded settings, one module per part, so that a step reaches its own settings only."""
