"""The formats in which Django writes days and moments, by language (``FORMAT_MODULE_PATH``)."""
