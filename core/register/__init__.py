"""The declaration of what a backup holds, and the register in one database."""
