"""A plant in a box: stories, random days, and devices that speak the real protocols."""
