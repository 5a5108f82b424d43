"""GPU sizes: what is there, the tier that it belongs to, and estimates of what fits."""
