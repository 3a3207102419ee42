"""The pages, one module per area: thin; what they do is done in the rooms below."""
