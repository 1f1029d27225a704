"""Plots with matplotlib in scikit-learn's way: loss curves, histograms over the epochs, weights as images."""
