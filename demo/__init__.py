"""The main job on a real cluster, shown step by step and checked: `python3 -m demo`."""
