"""Where the pipelines run: stacks, servers, images, clusters."""
