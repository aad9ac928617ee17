"""Tests over networks and images, on plain arrays."""
