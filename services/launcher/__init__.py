"""`tertulia`: the command that runs a whole installation on one machine and reads its log."""
