"""Looking for people: runs, suggestions with reasons, and wishes that nothing meets yet."""
