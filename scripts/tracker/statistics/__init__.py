"""Statistical tests and estimates, as pure functions without clocks, processes and files."""
