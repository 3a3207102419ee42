"""Measurements. No test asserts their figures.

``make bench`` measures the targets (:mod:`benchmarks.table`) and writes ``RESULTS.md`` and ``RESULTS-pages.md``;
:mod:`benchmarks.web_restore` measures a restore in the browser.
"""
