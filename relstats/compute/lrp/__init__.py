"""Layer-wise relevance propagation: rules, the walk along a network, zennit as the reference."""
