"""Displays that plot with matplotlib, as scikit-learn's do: loss curves, histograms over the epochs, weights as images."""
