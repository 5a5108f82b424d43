"""Our parts against what a competent user would write with the libraries alone, timed side by side in one run."""
