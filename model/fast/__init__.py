"""The fast engine: compiled loops over whole data sets, equal to `model.chip` bit for bit."""
