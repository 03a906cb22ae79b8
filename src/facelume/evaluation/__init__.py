"""Measures facelume on a folder of photos: landmarks, fidelity, albedo truth, speed."""

from facelume.evaluation.evaluate import EvaluationOptions, evaluate
from facelume.evaluation.references import PhotoReference, read_references

__all__ = ["EvaluationOptions", "PhotoReference", "evaluate", "read_references"]
