"""How fast everything runs, side by side in one run."""
