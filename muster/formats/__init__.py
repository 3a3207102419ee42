"""How Django itself writes days and moments, by language (``FORMAT_MODULE_PATH``)."""
