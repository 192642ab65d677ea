"""In which order the queue serves what waits in it."""

NOW, SOON, LATER = 0, 1, 2
"""What somebody waits for, what follows from another object's change, bookkeeping."""
