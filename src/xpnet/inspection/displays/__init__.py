"""Plots with matplotlib in scikit-learn's way: loss curves, histograms over the epochs, first-layer weights as images."""
