"""Training of the prior network on photos with landmarks and on synthetic faces."""
