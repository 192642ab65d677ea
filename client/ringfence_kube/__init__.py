"""What the command line and programs outside of agents know of the API server; nothing else of theirs speaks to it."""
