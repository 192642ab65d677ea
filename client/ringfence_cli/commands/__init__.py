"""One module for each command: what it takes, whom it asks, how it looks."""
