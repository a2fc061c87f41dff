"""The fast engine: compiled loops over whole data sets, equal to `model.plain` bit for bit."""
