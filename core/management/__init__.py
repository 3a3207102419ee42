"""The commands, and the code that they share (:mod:`.console`)."""
