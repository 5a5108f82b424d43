"""Changes how asv runs benchmarks: which cells it measures, what it stores of them, and that it runs alone."""
