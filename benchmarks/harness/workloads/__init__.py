"""The workloads: each class here loads models of the package under measurement and runs the cells of one matrix."""
