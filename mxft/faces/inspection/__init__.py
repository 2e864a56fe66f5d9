"""What face sets, records and verification sets hold, and what is wrong with them."""
