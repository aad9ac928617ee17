"""Networks shown altered images, and the scores that they give."""
