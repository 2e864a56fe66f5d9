"""IJB-B and IJB-C from their own list files: verification 1:1 and identification 1:N of templates."""
