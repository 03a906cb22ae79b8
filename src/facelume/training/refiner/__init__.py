"""Training of the refinement network, self-supervised on photos and supervised on synthetic faces."""
