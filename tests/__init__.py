"""The tests. The folders mirror the packages; each says what it is for."""
