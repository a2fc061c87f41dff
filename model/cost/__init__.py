"""What work costs: exact counts times a table of sourced constants."""
