"""The web page: staff see the day and decide on it. Each page is a file of its own."""
