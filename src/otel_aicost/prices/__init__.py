"""Prices: a catalogue in layers, rate cards compiled from it, and the price files behind it."""
