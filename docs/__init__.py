"""The documents; ``docs.reference`` writes those that follow from the code."""
