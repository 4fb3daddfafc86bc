"""Records: what a run leaves, from the journal that is the truth about it to the page that people read."""
