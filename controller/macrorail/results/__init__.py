"""What a finished run gives: report, exports, deliveries, checks and clearing up."""
