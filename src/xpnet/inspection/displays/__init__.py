"""Displays in the style of scikit-learn's: loss curves, histograms over the epochs, weights as images."""
