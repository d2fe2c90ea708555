"""macrorail: an automated macro-rail lab instrument controller."""
