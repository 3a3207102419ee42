"""Files of other forms than the engine's own, which know attendance."""
