"""How `decide` decides, by topic. Each decision adds its events to a `Draft`, or raises."""
