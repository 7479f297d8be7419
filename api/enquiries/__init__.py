"""The front door: "somebody answer me", with a clock from the first minute."""
