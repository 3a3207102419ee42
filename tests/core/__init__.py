"""Models, pages and who may open them, by the test client."""
