"""What a call costs with us, side by side with the bare SDK and with the least any instrumentation could do."""
