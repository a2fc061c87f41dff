"""A trained chip for use elsewhere: memory files, and C that classifies as the chip does."""
