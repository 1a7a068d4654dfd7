"""Mattes to splines: outlines of each frame, linked over time, fitted with few Bézier points and few keys."""
