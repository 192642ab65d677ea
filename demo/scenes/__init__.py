"""What the demo shows, one scene a module."""
