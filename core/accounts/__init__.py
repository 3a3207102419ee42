"""Who signs in: accounts, and the attempts counted against guessing.

Which companies and records somebody sees is a rule of the models (``visible_to`` in :mod:`core.models.attendance`).
"""
