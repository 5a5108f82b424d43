"""What measurements say, as pure functions: no clock, no process, no file."""
