"""Drawn faces, the networks that learn them, and the truth about both."""
