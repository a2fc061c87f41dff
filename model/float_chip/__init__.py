"""The chip in real numbers, with any of its approximations kept or taken away."""
