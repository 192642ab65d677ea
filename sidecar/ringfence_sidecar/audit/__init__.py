"""One line per call, each with its predecessor's hash."""
