"""What-if: files of scenarios, what they would cost a month, and which budget fits them."""
