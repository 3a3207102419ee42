"""What the engine asks of the machine and of the database's server: files, locks, transactions; and progress."""
