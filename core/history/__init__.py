"""What the register's content is known by."""
