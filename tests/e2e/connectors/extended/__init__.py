"""A package, since pytest knows no folder else: what is installed for its tests lasts as long as they do."""
