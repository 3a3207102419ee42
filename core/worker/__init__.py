"""What the worker does: the handlers of operations, and sweeping."""
