"""The state of a run: written, shared among workers, resumed."""
