"""What a sensor does before the chip: images and recordings become event words."""
