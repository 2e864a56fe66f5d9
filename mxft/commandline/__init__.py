"""What commands and recipes share: flags, the values made of them, checks before work, and what is told of results."""
