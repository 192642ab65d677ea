"""`ringfence doctor`: facts are gathered (`gather`), judged without I/O (`checks`), and told (`commands.doctor`)."""
