"""The study file: which images, networks and settings."""
