"""A person's strengths, wishes and practicalities, in their own words; theirs to share."""
