"""Builders of test data: days, registers, files, sheets, people. They make plain data without code of the engine."""
