"""Figures, measured: ``make bench`` runs everything and writes ``RESULTS.md``."""
