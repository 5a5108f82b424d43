"""The comparison of two commits: build both, sample them in pairs, estimate, report, and store the samples."""
