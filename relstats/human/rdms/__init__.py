"""Kernels of representational similarity on plain arrays."""
