"""Another Django project that uses the engine, with tables of its own: parcels that carriers bring from depot to depot.

Its tests run in a process of their own, because a process has the settings of one project (tests/test_parcels.py).
"""
