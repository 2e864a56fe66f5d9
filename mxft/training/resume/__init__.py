"""The state of a run: written down, shared among workers, taken up again."""
