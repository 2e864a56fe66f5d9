"""What face sets, records and verification sets hold, and what ails them."""
