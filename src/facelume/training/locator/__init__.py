"""Training of the locator: scenes composed on the fly from photos and pictures without faces."""
