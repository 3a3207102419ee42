"""Hypothesis strategies, a module for each subject."""
