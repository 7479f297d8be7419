"""Go-aheads and who gives them, looking again, and stops that hold a change at once."""
