"""Benchmarks. Each is a module to run, such as ``python -m bench.codec``; `measure` is what they share."""
