"""What measurements prove: pure functions over numbers, without files, clocks or models."""
