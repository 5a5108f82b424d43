"""What the project changes about a run of asv: the cells that it asks for, what it keeps, and who may run beside it."""
