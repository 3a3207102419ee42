"""The forms of the pages, by subject. :mod:`.shared` has what all of them are made of."""
