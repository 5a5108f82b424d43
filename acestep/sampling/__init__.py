"""Flow-matching sampling: schedules, solvers, guidance, and what changes latents between steps."""
