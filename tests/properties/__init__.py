"""Laws that hold for all registers, files and strategies, by Hypothesis; numbered as in docs/traceability.md."""
