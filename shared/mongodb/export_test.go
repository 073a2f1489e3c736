package mongodb

// IsApplied is isApplied, for tests.
var IsApplied = isApplied
