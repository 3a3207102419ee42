"""What is backed up, declared: fields, records, models."""
