"""The frozen workload: a tree of tiny checkpoints that the benchmarks write themselves, with the same bytes everywhere.

A commit never writes what it is measured on. The names, shapes and configurations are data in this folder, taken once
from the released layout; the weights are drawn from a hash function and scaled by arithmetic that IEEE 754 defines to
the last bit; the files are written without torch, transformers, diffusers, safetensors or tokenizers. `tree` puts them
together and knows the digest that all of them must have.
"""
