"""Tools that look into a network: explanations, diagnoses, gradient checks, summaries, pictures and plots."""
