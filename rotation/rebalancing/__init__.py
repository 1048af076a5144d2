"""The night: which copies should move. One min-cost circulation over all titles and places, certified and explained."""
