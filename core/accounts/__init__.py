"""Who signs in: accounts, and the attempts counted against guessing."""
