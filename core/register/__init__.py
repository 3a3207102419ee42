"""What a backup holds, declared; and the register in one database."""
