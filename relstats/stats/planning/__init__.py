"""Studies to come: simulated ones, power, pilots."""
