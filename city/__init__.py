"""The twin city: one model, two drivers, the same facts from both."""
