"""The library behind the commands: statistics, comparison, history, site, profiling."""
