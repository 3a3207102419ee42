"""What a restore would do, kept on disk from its check to the decision about it."""
