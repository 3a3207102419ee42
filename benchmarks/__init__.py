"""Measurements. No test asserts their figures.

``make bench`` measures the commands (:mod:`benchmarks.commands`) and writes ``RESULTS.md``;
``python -m benchmarks NAME`` runs ``main()`` of another module here.
"""
