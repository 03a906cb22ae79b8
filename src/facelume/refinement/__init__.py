"""Unwrapped photo to albedo, light and confidence: around the refinement network."""
