"""Events, the movements of copies that follow from them, and the states of everything planned (lifecycle)."""
