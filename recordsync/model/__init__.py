"""What an application declares: the models, fields and units that are backed up."""
