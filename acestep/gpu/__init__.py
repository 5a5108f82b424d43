"""GPUs: their memory, the tiers that they belong to, estimates of what fits, and models on the device ``meta``."""
