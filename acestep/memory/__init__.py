"""Memory of a device: how much is free, an enforced limit, and how much the stages of a generation need."""
