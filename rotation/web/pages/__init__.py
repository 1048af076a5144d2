"""The pages that people see, a module for each."""
