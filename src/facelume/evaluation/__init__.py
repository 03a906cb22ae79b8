"""Measures facelume on a folder of photos: landmarks, fidelity, albedo truth, speed."""

from facelume.evaluation.evaluate import EvaluationOptions, evaluate
from facelume.evaluation.references import PhotoReference, describe_unread, read_references

__all__ = ["EvaluationOptions", "PhotoReference", "describe_unread", "evaluate", "read_references"]
