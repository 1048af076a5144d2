"""Sign-in, and the permissions of each role."""
