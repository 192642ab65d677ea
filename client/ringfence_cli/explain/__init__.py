"""`ringfence explain`: what an agent may do, and why; `gather` asks, `account` decides what to say of the answers."""
