"""Kernels on maps as plain arrays."""
