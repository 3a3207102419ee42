"""Pages in a real browser on a real server: whole ways through them, at desktop and phone size, with axe."""
