"""What is measured: each module here drives one part of `acestep` through its public names."""
