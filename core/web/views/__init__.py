"""The views of the pages, one module for each area. They are thin: the rooms below do the work."""
