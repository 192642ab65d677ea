"""How results look: tables and words on a terminal, JSON and YAML for programs."""
