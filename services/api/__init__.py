"""REST, signaling, the projection behind the answers, timers and pages."""
