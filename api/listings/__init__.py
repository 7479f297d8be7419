"""Things to join: listings, people's own offers, and the public projection that search reads."""
