"""What calls may use: counters in the namespace's Redis, in the process without one, and what happens in between."""
