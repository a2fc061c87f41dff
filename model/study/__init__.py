"""What one does with a chip: train it, compare it, sweep its choices, profile its numbers."""
