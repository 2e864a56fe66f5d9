"""Pages and pictures of face runs and of verification."""
