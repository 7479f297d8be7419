"""Personal budgets on the ledger: whose money, who may act, what it is for, its funders' rules."""
