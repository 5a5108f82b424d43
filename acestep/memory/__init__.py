"""Memory of a device: how much is free, a limit that is enforced, and what a generation is predicted to need."""
