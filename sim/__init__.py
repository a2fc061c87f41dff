"""WHETHER model and hardware agree, and what outside tools say."""
