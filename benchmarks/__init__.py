"""Benchmarks of `acestep`, which airspeed velocity runs at every commit.

asv takes this folder from the working tree, and the package from the commit under measurement. So no module here
imports the package or torch at its top, and only `harness.adapters` names modules of the package. Each module besides
`harness` shows the series of one matrix (see `harness.matrices`).
"""
