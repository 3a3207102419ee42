"""What the engine needs of the machine and the database server: files, inputs, locks, transactions, progress."""
