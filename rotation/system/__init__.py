"""Processes and servers of the whole: started, supervised, stopped."""
