"""Benchmarks of `acestep`, run by airspeed velocity at every commit.

asv takes this folder from the working tree and the package from the commit under measurement, so nothing
here imports `acestep` or torch at the top of a module.
"""
