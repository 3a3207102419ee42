"""The declaration of what a backup holds, the register in one database, and the identity of this installation."""
