"""What every slice stands on. No domain word lives here."""
