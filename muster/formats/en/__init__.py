"""The formats of days and moments in English."""
