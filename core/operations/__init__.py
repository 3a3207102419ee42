"""Operations: who runs what, how far it is, how it ended, and the words for all this."""
