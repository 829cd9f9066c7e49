"""Spans of other instrumentations, priced: whoever made them, each call once, and only where our capture saw none."""
