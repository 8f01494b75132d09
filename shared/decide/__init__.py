"""The pure rooms of a decision: which key (`attribution`), what would be done (`plan`), may we (`policy`)."""
