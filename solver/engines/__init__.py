"""Solvers behind one door: each takes a `Problem` and gives `Solution`s; `solver.evaluate` judges them all."""
