"""Results of finished runs: report, exports, delivery packages, verification, retention."""
