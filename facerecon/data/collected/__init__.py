"""What new footage has brought: clips wait in an inbox, accepted faces are kept here with what came of each clip."""
