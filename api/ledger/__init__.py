"""Accounts, transfers, holds: knows no budget, person or pool. Nobody else touches its tables."""
