"""What model and hardware agree on: numbers and names, standard library only."""
