"""Use cases, on both engines, with the jobs run in the process of the test."""
