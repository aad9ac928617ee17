"""What statistics take from a study: scores, mean maps, top pixels, scores of regions."""
