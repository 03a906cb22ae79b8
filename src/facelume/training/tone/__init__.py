"""Training of the tone network: how dark a skin is, judged by eyes, lips and brows beside it."""
